"""Warnings about names in a campaign that no recent event, or no customer, has had. Pure, but for the reading."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

import schemas.campaign
from schemas.finding import Finding, Severity
from schemas.times import Instant
from services.condition.static_kinds import read_paths
from services.kit.db.database import Database
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.seen_names.sampler import TRAITS
from services.orchestrator.seen_names.store import DAYS, load_counts
from services.template import line_and_column

Counts = Mapping[str, int]
_POSITIONS = frozenset({"size", "first", "last"})


async def add_seen_names(
    database: Database, document: schemas.campaign.Campaign, findings: Sequence[Finding], now: Instant
) -> list[Finding]:
    """Returns the findings with what is known of the names, and warnings about names that were never seen."""
    async with database.read() as tx:
        counts = {
            "event.data": await load_counts(tx, document.trigger.event, now),
            TRAITS: await load_counts(tx, TRAITS, now),
        }
    shared = [_with_share(each, document, counts) for each in findings]
    return [*shared, *await asyncio.to_thread(lambda: list(unseen_name_findings(document, counts)))]


def unseen_name_findings(document: schemas.campaign.Campaign, counts: Mapping[str, Counts]) -> Iterator[Finding]:
    """Yields a warning for each name that none of the samples has, where there were samples."""
    for pointer, place, path in _uses(document):
        root, seen = _find_source(path, counts)
        name = path.removeprefix(f"{root}.")
        if not root or not seen.get("") or name in seen:
            continue
        near = get_close_matches(name, [each for each in seen if each], 1)
        share = f"0 of {seen['']:,} {_samples(root, document)} in the last {DAYS} days have it"
        detail = f"line {place[0]}, column {place[1]}: `{path}`: {share}"
        yield Finding(
            pointer,
            "name_not_seen",
            detail,
            place[0],
            place[1],
            suggestion=f"did you mean `{root}.{near[0]}`?" if near else None,
            severity=Severity.WARNING,
            variable=path,
        )


def _with_share(finding: Finding, document: schemas.campaign.Campaign, counts: Mapping[str, Counts]) -> Finding:
    """Adds to a warning of a variable that may be missing how many of the samples lack it."""
    if finding.code != "may_fail" or finding.variable is None or "is missing" not in finding.detail:
        return finding
    path = _plain(finding.variable)
    root, seen = _find_source(path, counts)
    total, having = seen.get("", 0), seen.get(path.removeprefix(f"{root}."), 0)
    if not total or not having:
        return finding
    share = f"{total - having:,} of {total:,} {_samples(root, document)} in the last {DAYS} days lack it"
    return msgspec.structs.replace(finding, detail=f"{finding.detail}; {share}")


def _find_source(path: str, counts: Mapping[str, Counts]) -> tuple[str, Counts]:
    root = next((each for each in counts if path.startswith(f"{each}.")), "")
    return root, counts.get(root, {})


def _samples(root: str, document: schemas.campaign.Campaign) -> str:
    return "customers seen" if root == TRAITS else f"events of the type `{document.trigger.event}` seen"


def _uses(document: schemas.campaign.Campaign) -> Iterator[tuple[str, tuple[int, int], str]]:
    """Yields (pointer, place, path) of each name that templates and conditions read, each once a field."""
    for pointer, text in (("/trigger/when", document.trigger.when), ("/audience", document.audience)):
        places: dict[str, tuple[int, int]] = {}
        for place, path in read_paths(text or "true"):
            places.setdefault(path, place)
        yield from ((pointer, place, path) for path, place in places.items())
    for channel, locales in document.content.items():
        for locale, fields in locales.items():
            for field, template in CHANNELS_BY_ID[channel].compile_templates(fields).items():
                first: dict[str, int] = {}
                for index, segments in template.reads():
                    first.setdefault(_plain(_join(segments)), index)
                for path, index in first.items():
                    yield f"/content/{channel}/{locale}/{field}", line_and_column(template.source, index), path


def _join(segments: Sequence[Any]) -> str:
    names: list[str] = []
    for each in segments:
        if isinstance(each, list):
            break  # a name that depends on a value
        if isinstance(each, str) and each not in _POSITIONS:
            names.append(each)
    return ".".join(names)


def _plain(path: str) -> str:
    """Returns a path without indexes, as they are counted."""
    return ".".join(part.partition("[")[0] for part in path.split("."))
