"""Hands notifications over to the push services of browsers (RFC 8030)."""
