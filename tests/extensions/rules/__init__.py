"""Example rules."""
