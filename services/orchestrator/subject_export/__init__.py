"""Exports of all that is known of a customer, in all services, as jobs."""
