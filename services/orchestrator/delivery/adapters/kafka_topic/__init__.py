"""Writes each message to a Kafka topic of the company's own, for a sender of its own."""
