"""Messages and posts through Slack's Web API."""
