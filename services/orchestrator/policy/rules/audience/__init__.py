"""The rule `audience`: the customer must meet the campaign's audience condition."""
