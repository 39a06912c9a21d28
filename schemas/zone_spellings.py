"""The spellings under which people and programs name a time zone: any case, former names, and those of Windows."""

import difflib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from babel.core import get_global

from schemas.zones import zone_names, zone_names_by_country

_OFFSET: Final = re.compile(r"(UTC|GMT|Z)?\s*[+-]\s*\d{1,2}(:?\d{2})?", re.IGNORECASE)
"""Such as `+02:00` or `UTC+2`. No name is offered for it: `Etc/GMT+2` is west of Greenwich."""
_KEPT_LINKS: Final = frozenset({"UTC", "GMT", "CET", "EET", "EST", "HST", "MET", "MST", "WET"})
"""Links of the tz database that say more to people than the places they stand for, such as EST for Panama."""


def parse_zone(text: str) -> str:
    """The zone's name as the tz database writes it today.

    Takes names in any case, former ones (`US/Pacific`) and those of Windows (`Pacific Standard Time`). Raises
    ValueError, with a suggestion, for any other text.
    """
    found = _zones_by_word().get(text.lower())
    if found is None and _OFFSET.fullmatch(text.strip()):
        raise ValueError(
            "not a zone of the tz database but an offset, which knows no summer time: name a place, such as "
            "Europe/Berlin"
        )
    if found is None:
        raise ValueError(f"not a zone of the tz database, such as Europe/Berlin{_suggestion(text)}")
    return found


@cache
def _zones_by_word() -> Mapping[str, str]:
    """Any spelling in lower case -> the zone's name of today."""
    former = _former_names()
    zones = {name.lower(): former.get(name, name) for name in zone_names()}
    windows = {name.lower(): zones[zone.lower()] for name, zone in get_global("windows_zone_mapping").items()}
    return windows | zones


@cache
def _former_names() -> Mapping[str, str]:
    """Former name -> name of today.

    The tz database links a former name to the present one, but also a place to another whose clocks agree since 1970
    (Stockholm to Berlin). `zone.tab` names the places; these stay what they are.
    """
    places = {name for names in zone_names_by_country().values() for name in names}
    text = resources.files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text("utf-8")
    links = {alias: target for _, target, alias in (line.split() for line in text.splitlines() if line[:2] == "L ")}
    former: dict[str, str] = {}
    for alias in links.keys() - places - _KEPT_LINKS:
        target = links[alias]
        while target in links and target not in places:
            target = links[target]
        former[alias] = target
    return former


def _suggestion(word: str) -> str:
    """`, did you mean ...?` if the word resembles a name, or its part after the last slash; else an empty text."""
    names = sorted(zone_names())
    by_place = {name.rpartition("/")[2].lower(): name for name in names if "/" in name}
    place = word.lower().replace(" ", "_")
    for spoken, known in ((place, {name.lower(): name for name in names} | by_place), (word.lower(), _zones_by_word())):
        matches = difflib.get_close_matches(spoken, known, 1, 0.75)
        if matches:
            return f", did you mean `{known[matches[0]]}`?"
    return ""
