"""Hands notifications over to the Apple Push PushMessage service."""
