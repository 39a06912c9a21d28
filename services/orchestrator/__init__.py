"""The orchestrator: owns campaigns, the policy, the contact ledger, decisions, messages and their handover."""

from typing import Final

OWN_TABLE: Final = "decision"
"""A table that only the database of this service has, since its first step: see `services/kit/db/migrate.py`."""
