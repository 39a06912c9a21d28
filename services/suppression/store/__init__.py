"""SQL of this service, in functions named after the question; whole batches in, whole batches out."""
