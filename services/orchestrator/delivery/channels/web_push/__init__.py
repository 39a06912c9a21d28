"""Push notifications in browsers."""
