"""Removal of do-not-contact entries: asked for by one person with a reason, decided by another."""
