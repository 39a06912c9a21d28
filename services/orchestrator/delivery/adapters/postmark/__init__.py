"""Hands mails over to Postmark, by its API."""
