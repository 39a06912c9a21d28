"""Policy evaluation: pure functions from facts to decisions, without I/O, clock, random numbers or environment."""
