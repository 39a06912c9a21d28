"""Hands notifications over to Firebase Cloud Messaging, HTTP v1."""
