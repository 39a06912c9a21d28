"""The rule `min_gap`: contacts keep a minimum distance in time."""
