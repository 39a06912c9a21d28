"""Example extensions, one folder each, that the product finds through its registries alone."""
