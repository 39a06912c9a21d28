"""The public pages: no sign-in, no script, no cookie."""
