"""Suppression service: do-not-contact entries, customer situations and holds."""

from typing import Final

OWN_TABLE: Final = "suppression_entry"
"""A table that only the database of this service has, since its first step: see `services/kit/db/migrate.py`."""
