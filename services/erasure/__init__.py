"""Library: erasure of a customer's data in a service's own database.

Each service records in its table `erasure` whom it has erased, by a keyed hash, and removes the data in bounded
transactions (`eraser.py`). Which rows and how is for the service: see `erasure_steps.py` of each.
"""
