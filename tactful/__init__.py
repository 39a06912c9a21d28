"""The command line: one file for each command group. Commands call the HTTP API, or pure functions of the services."""
