"""Adapters, one folder each: our code for one provider, or for none (`sandbox`, `null`).

`schemas/adapter_registry.py` finds the folders; docs/extending.md describes how to add one. The modules beside the
folders are shared: `definition` (what an adapter is), `registry` (builds those that the settings name) and
`guarded_body` (an HTTP request whose first byte can still be withheld).
"""
