"""Consent with proof: the texts that were agreed to, double opt-in, what is recorded, and the signed export of it."""
