"""Development tools: the three services in one process, the demo shop, and virtual time. Not for production."""
