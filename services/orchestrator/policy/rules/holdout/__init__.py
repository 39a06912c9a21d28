"""The rule `holdout`: customers in a control group get no messages."""
