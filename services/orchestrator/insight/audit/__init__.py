"""Auditor: re-checks messages that were handed over against the facts and versions in force at that time."""
