"""Addresses of a customer: several per channel, the main one first, verified by message or by the company's word."""
