"""The kit: tools without domain words (bus, database, HTTP, observability, process runtime). Imports no other code of
ours.
"""
