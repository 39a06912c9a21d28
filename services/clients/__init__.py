"""HTTP clients with which the services call each other. Requests, responses and paths are in schemas/service_api.py."""
