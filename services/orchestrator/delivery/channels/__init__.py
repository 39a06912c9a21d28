"""Channels, one folder each: what a message on a channel consists of, and how it is checked and rendered.

`schemas/channel_registry.py` finds the folders; docs/extending.md describes how to add one. The modules beside the
folders are shared: `definition` (what a channel is), `content_checks` (helpers for channels), `registry` (all channels
by id) and `content` (the content of a whole campaign).
"""
