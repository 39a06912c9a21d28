"""The rule `channel`: the channel must have an adapter."""
