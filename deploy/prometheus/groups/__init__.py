"""One module a group of alerts; each has `ALERTS`. Found by their folder: there is no list to edit."""

import pkgutil
from functools import cache
from importlib import import_module

from deploy.prometheus.rule import AlertRule


@cache
def alert_groups() -> dict[str, tuple[AlertRule, ...]]:
    """The alerts by group, in the order of the groups' names."""
    names = sorted(each.name for each in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}").ALERTS for name in names}
