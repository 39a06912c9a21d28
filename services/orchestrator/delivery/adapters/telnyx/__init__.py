"""Hands text messages over to Telnyx, by its API v2."""
