"""The providers that the lab plays, found by their modules."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from services.lab import providers
from services.lab.lab_provider import LabProvider


@cache
def load_providers() -> Mapping[str, LabProvider]:
    """All providers by name, in order. Raises TypeError for a module without one, which is a fault of the code."""
    found: dict[str, LabProvider] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(providers.__path__)):
        provider = getattr(importlib.import_module(f"{providers.__name__}.{module}"), "PROVIDER", None)
        if not isinstance(provider, LabProvider):
            raise TypeError(f"{providers.__name__}.{module}.PROVIDER is no LabProvider")
        found[module] = provider
    return found


def write_settings(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of an adapter as the variables of the environment that Tactful reads."""
    return {f"TACTFUL_{name}__{field}".upper(): value for field, value in settings.items()}
