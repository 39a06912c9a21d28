"""The providers that the lab plays: one module each, found by its name, which is the id of the adapter that calls it.

A module holds the constant `PROVIDER`, a `LabProvider`.
"""
