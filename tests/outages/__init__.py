"""Recorded outages: a server dies, the right alert fires, the runbook mends it, the alert ends."""
