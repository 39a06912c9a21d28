"""Library: how long each kind of data is kept in a service's own database, and the job that ends it.

Each service says in its `retention_rules.py` which kinds it has, and for every other table why nothing of it ends.
"""
