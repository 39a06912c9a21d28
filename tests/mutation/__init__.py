"""A mutation run over what decides: change the code a little, and some test must fail. See `docs/mutation.md`."""
