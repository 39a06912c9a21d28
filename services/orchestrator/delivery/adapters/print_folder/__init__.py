"""Hands letters to a print shop: files in a folder that it collects."""
