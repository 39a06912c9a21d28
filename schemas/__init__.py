"""Contracts: what crosses a process border. Imports pydantic, msgspec and the standard library only."""
