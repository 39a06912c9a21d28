"""The rule `quiet_hours`: no messages during the customer's quiet hours."""
