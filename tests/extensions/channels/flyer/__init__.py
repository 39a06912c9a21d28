"""Flyers."""
