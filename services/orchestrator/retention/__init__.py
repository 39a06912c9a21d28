"""How long decisions, their events and their messages are kept."""
