"""Messages and posts through Discord: by a bot, or by webhooks."""
