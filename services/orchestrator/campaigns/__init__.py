"""What people decided: campaigns and the policy with their versions and approvals, and the API keys."""
