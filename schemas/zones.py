"""Time zones of the tz database, read from the pinned `tzdata` package and never from the host.

A host's own files (`/usr/share/zoneinfo`) may be older, newer or missing, and hold names that are no zones, such as
`localtime`. Everything that takes or reads a zone uses these functions, so that every machine knows the same zones
and finds the same local times in them.
"""

from functools import cache, lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

#: The package's name for "no zone was chosen". Its clock shows UTC, which nobody who writes it means.
_PLACEHOLDER: Final = "Factory"


@cache
def zone_names() -> frozenset[str]:
    """The names of all zones, links such as `US/Eastern` among them, spelt as in the tz database."""
    names = resources.files("tzdata").joinpath("zones").read_text("utf-8").split()
    return frozenset(names) - {_PLACEHOLDER}


def is_zone(name: str) -> bool:
    """Whether a zone is spelt exactly so."""
    return name in zone_names()


@lru_cache(maxsize=1024)
def find_zone_info(name: str) -> ZoneInfo | None:
    """The rules of a zone; None where there is no zone of this name."""
    if not is_zone(name):
        return None
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def zone_names_by_country() -> dict[str, tuple[str, ...]]:
    """The zones of each country (ISO 3166 code in capitals), in the order of the database's `zone.tab`."""
    found: dict[str, list[str]] = {}
    for line in resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            found.setdefault(country, []).append(name)
    return {country: tuple(names) for country, names in found.items()}
