"""Hands text messages over to Pager, an imaginary provider, by its HTTP API."""
