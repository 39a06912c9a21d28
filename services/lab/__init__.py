"""The provider lab: a server that plays providers, with their answers, errors, receipts and faults (docs/lab.md).

It imports nothing of the orchestrator: what providers want and say is written down here a second time, from their own
documentation, so that an adapter and its counterpart are checked against each other.
"""
