"""Hands mails over to Mailgun, by its API."""
