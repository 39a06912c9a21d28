"""Import of contacts that other tools made before: a file of which each row does what the event of its kind would do."""
