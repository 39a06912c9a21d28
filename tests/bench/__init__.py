"""The standard load, ours and a reference written the usual way, measured side by side: `make bench`."""
