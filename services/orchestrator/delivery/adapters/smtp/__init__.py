"""Hands each mail to an SMTP server: a relay of the company's own, or that of a provider (docs/adapters/smtp.md)."""
