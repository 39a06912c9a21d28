"""The rule `expiry`: a message is not sent once its event is too old."""
