"""Delivers decided messages: claim, recheck, handover, and the results of attempts. See delivery.py."""
