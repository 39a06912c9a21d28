"""Hands messages on WhatsApp over to Meta, by its Cloud API."""
