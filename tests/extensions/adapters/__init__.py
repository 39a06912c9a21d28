"""Example adapters, each one folder."""
