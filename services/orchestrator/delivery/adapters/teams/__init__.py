"""Messages through Teams workflows, as Adaptive Cards."""
