"""Imports of customers and of consents: files of which each row does what the event of its kind would do."""
