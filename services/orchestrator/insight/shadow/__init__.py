"""Shadow versions: evaluated and rendered on live events beside the active ones, counted, without any effect."""
