"""Accepts every message and forgets it: for benchmarks."""
