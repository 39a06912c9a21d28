"""What providers say about messages that they have taken: kept, applied to do-not-contact entries, and published."""
