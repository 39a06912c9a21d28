"""The rule `campaign`: the campaign must be active."""
