"""Messages and posts through a bot of Telegram."""
