"""Letters on paper."""
