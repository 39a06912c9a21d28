"""An attack on the running product: what strangers, publishers and marketers can send, while it goes on deciding.

`make abuse` sends all of it for a minute; a short form runs with the tests.
"""
