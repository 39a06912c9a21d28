"""The rule `quarantine`: nothing is sent while a record that may be the customer's refusal cannot be read."""
