"""Campaigns and the policy as documents: versions, approval, lint, and the compiled catalogue."""
