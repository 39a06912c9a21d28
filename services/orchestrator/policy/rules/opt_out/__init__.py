"""The rule `opt_out`: customers do not get what they opted out of, nor anything while they pause."""
