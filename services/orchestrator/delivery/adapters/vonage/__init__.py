"""Hands text messages over to Vonage, by its Messages API."""
