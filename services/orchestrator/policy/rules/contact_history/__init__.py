"""The rule `contact_history`: no contact too soon after other contacts or during and after situations."""
