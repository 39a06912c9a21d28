"""Imports of do-not-contact entries: files of up to millions of rows, taken as jobs with a result per row."""
