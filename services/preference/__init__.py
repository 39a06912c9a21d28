"""Preference service: traits, addresses, consent with its proof, opt-outs, quiet hours and frequency limits."""

from typing import Final

OWN_TABLE: Final = "preference_state"
"""A table that only the database of this service has, since its first step: see `services/kit/db/migrate.py`."""
