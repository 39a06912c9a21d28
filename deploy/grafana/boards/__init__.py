"""One module a dashboard; each has a `BOARD`. Found by their folder: there is no list to edit."""

import pkgutil
from functools import cache
from importlib import import_module

from deploy.grafana.board import Board


@cache
def boards() -> tuple[Board, ...]:
    """All dashboards, by uid."""
    found = (import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    return tuple(sorted((module.BOARD for module in found if hasattr(module, "BOARD")), key=lambda each: each.uid))
