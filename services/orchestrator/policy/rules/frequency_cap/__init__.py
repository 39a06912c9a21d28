"""The rule `frequency_cap`: at most so many contacts in a window."""
