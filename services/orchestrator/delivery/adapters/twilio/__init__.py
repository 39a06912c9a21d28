"""Hands text messages over to Twilio, by its Messages resource."""
