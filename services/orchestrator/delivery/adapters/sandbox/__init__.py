"""Keeps messages in the database, where people can look at them, instead of sending them."""
