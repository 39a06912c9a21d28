"""The console: server-rendered pages for people, on the same functions as the API."""
