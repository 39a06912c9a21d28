"""An independent model of the policy: slow and naive, written from `docs/policy.md` and `docs/documents.md` alone.

It shares no code with the rules. It meets the conformance cases by itself; then random worlds go through it and
through the product, and every line must be equal.
"""
