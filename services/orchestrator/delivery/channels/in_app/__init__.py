"""Messages in the inbox of the company's own application."""
