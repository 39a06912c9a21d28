"""Preference service: traits, addresses, consent with its proof, opt-outs, quiet hours and frequency limits."""
