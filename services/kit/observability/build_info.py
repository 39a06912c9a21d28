"""What runs here: the version of the product, the commit it was built from, the steps of its schemas."""

import os

from services.kit.db import migrate
from services.kit.observability.metrics import Registry, set_build_info

VERSION = "0.1.0"
COMMIT_VARIABLE = "SOURCE_COMMIT"
"""The environment variable in which an image says what it was built from."""


def publish_build_info(registry: Registry, *services: str) -> None:
    """Set `tactful_build_info` for a process that holds these services."""
    steps = {service: migrate.latest_revision(f"services.{service}") for service in services}
    revision = next(iter(steps.values())) if len(steps) == 1 else ",".join(f"{s}-{step}" for s, step in steps.items())
    set_build_info(
        registry, version=VERSION, commit=os.environ.get(COMMIT_VARIABLE) or "unknown", schema_revision=revision
    )
