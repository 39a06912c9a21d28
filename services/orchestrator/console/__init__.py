"""Server-rendered pages for people, on the same functions as the API."""
