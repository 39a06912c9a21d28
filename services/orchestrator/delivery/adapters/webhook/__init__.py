"""Posts each message to a URL of the company's own, signed according to the specification Standard Webhooks."""
