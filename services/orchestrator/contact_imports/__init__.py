"""Import of contacts that other tools made before: each row does what the event of its kind would do."""
