"""The rule `hold`: operators' holds stop or delay messages."""
