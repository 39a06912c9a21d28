"""Public pages behind the links in messages: no sign-in, no script, no cookie."""
