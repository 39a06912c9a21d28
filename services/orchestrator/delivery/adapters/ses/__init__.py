"""Hands mails over to Amazon SES, by its API v2."""
