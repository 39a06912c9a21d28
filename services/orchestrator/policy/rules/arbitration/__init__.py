"""The rule `arbitration`: a contact that outranks the candidate took its place under a cap."""
