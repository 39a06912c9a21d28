"""Simulations on recorded traffic: requests, export of the traffic to files, and the process that simulates it."""
