"""Library: what a service's database tells about one customer, page by page, in a form that people can read.

Each service lists its sections in its `export_sections.py`, and for every other table why nothing of it is told.
"""
