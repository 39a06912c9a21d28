"""Deciding: pure functions from facts to decisions. No I/O, no clock, no random, no environment."""
