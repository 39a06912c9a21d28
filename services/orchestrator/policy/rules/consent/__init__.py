"""The rule `consent`: marketing needs a recorded consent."""
