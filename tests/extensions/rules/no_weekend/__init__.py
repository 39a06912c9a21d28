"""The rule `no_weekend`: some messages wait for the next working day of the customer."""
