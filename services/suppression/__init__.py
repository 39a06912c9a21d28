"""Suppression service: do-not-contact entries, customer situations and holds."""
