"""Hands mails over to Resend, by its API."""
