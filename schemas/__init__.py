"""Contracts: the data that crosses process borders. Imports only pydantic, msgspec, PyYAML and the standard library."""
