"""The orchestrator over HTTP: one file per noun, each a `router(...)` that is given what it works with."""
