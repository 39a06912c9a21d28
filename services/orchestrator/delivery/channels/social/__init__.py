"""Short posts that a community or everybody reads."""
