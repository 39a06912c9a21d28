"""The rule `working_days`: some messages wait for the next working day of the customer."""
