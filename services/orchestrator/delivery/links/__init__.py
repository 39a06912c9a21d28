"""Links and pictures of our own in messages: sealed, written into contents, answered, and kept as receipts."""
