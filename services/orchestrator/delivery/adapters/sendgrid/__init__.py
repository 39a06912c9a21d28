"""Hands mails over to Twilio SendGrid, by its Web API v3."""
