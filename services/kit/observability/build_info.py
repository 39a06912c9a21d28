"""What runs here: the version of the product, the commit it was built from, the steps of its schemas."""

import os

from services.kit.db import migrate
from services.kit.observability.metrics import Registry, build_info

VERSION = "0.1.0"
COMMIT = "SOURCE_COMMIT"
"""The environment variable in which an image says what it was built from."""


def say_what_runs(registry: Registry, *services: str) -> None:
    """Set `tactful_build_info` for a process that holds these services."""
    steps = {service: migrate.newest(f"services.{service}") for service in services}
    revision = next(iter(steps.values())) if len(steps) == 1 else ",".join(f"{s}-{step}" for s, step in steps.items())
    build_info(registry, version=VERSION, commit=os.environ.get(COMMIT) or "unknown", schema_revision=revision)
