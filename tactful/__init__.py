"""The command line: one file per noun. It talks to the HTTP interface, or to the same pure functions."""
