"""Example channels, each one folder."""
