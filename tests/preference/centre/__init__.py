"""Tests of the preference centre and the unsubscribe pages."""
