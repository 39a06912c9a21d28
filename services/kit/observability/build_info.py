"""Build information: the product's version, the commit it was built from, the newest migration of each service."""

import os

from services.kit.db import migrate
from services.kit.observability.metrics import Registry, set_build_info

VERSION = "0.1.0"
COMMIT_VARIABLE = "SOURCE_COMMIT"
"""The environment variable with which an image states its commit."""


def commit() -> str:
    """The commit that this build was made from, or "unknown"."""
    return os.environ.get(COMMIT_VARIABLE) or "unknown"


def publish_build_info(registry: Registry, *services: str) -> None:
    """Sets `tactful_build_info` for a process that runs these services."""
    steps = {service: migrate.latest_revision(f"services.{service}") for service in services}
    revision = next(iter(steps.values())) if len(steps) == 1 else ",".join(f"{s}-{step}" for s, step in steps.items())
    set_build_info(registry, version=VERSION, commit=commit(), schema_revision=revision)
