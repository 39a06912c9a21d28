"""The packages with extensions that were added to this process, for processes that it starts."""

from collections.abc import Sequence

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.channel_registry import CHANNEL_REGISTRY

AddedPackages = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Of channels, adapters and rules."""


def added_packages() -> AddedPackages:
    """What has been added here."""
    from schemas.rule_registry import RULE_REGISTRY  # its import reads the channels

    return CHANNEL_REGISTRY.added_packages, ADAPTER_REGISTRY.added_packages, RULE_REGISTRY.added_packages


def add_packages(channels: Sequence[str], adapters: Sequence[str], rules: Sequence[str]) -> None:
    """Adds them in a new process, before anything else is imported there."""
    for package in channels:
        CHANNEL_REGISTRY.add_package(package)
    for package in adapters:
        ADAPTER_REGISTRY.add_package(package)
    from schemas.rule_registry import RULE_REGISTRY

    for package in rules:
        RULE_REGISTRY.add_package(package)
