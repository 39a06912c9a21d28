"""Hands flyers to a print shop, which collects them from a folder."""
