"""Tools without domain words. Imports nothing else of ours."""
