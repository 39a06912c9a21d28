"""Messages to a customer in a chat program."""
