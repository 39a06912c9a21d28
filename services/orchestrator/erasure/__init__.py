"""Erasure of customers in the orchestrator's database, and how far erasures are in all services."""
