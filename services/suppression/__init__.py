"""What speaks against speaking: do-not-contact entries, situations and holds."""
