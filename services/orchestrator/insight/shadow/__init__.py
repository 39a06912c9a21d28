"""Versions in state shadow: judged and rendered on live events beside what is active, counted, without any effect."""
