"""Tests of the provider lab."""
