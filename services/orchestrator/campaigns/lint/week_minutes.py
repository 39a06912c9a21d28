"""Minutes of a local week, as the bits of one number: quiet hours united, compared and measured."""

from collections.abc import Iterable, Sequence
from functools import cache

from schemas.times import DAY, HOUR, MINUTE, Instant
from services.orchestrator.policy.quiet_windows import Quiet
from services.orchestrator.policy.scope import Scope
from services.orchestrator.policy.time_zones import Zone

_A_DAY = DAY // MINUTE
WEEK = 7 * _A_DAY
ALL = (1 << WEEK) - 1
_MOST_SETS = 256


@cache
def minutes(quiet: Quiet) -> int:
    """The quiet minutes of a week that begins on Monday 00:00; one that crosses Sunday's midnight comes round."""
    length = (quiet.end - quiet.start) % DAY // MINUTE
    found = 0
    for day in quiet.days:
        window = ((1 << length) - 1) << (day * _A_DAY + quiet.start // MINUTE)
        found |= (window | window >> WEEK) & ALL
    return found


def united(rules: Iterable[Quiet]) -> int:
    """The minutes at which any of these is quiet."""
    found = 0
    for rule in rules:
        found |= minutes(rule)
    return found


def longest(quiet: int) -> int:
    """Microseconds of the longest stretch of quiet, round the week; all of it for a week that is quiet throughout."""
    if quiet == ALL:
        return WEEK * MINUTE
    twice, best, run = quiet | quiet << WEEK, 0, 0
    for minute in range(2 * WEEK):
        run = run + 1 if twice >> minute & 1 else 0
        best = max(best, run)
    return best * MINUTE


def together(rules: Sequence[Quiet]) -> list[frozenset[int]]:
    """The largest sets of rules (by index) that some message falls under all at once.

    Very many overlapping rules are looked at in part: sets may then be missing, and none is wrong.
    """
    found: set[frozenset[int]] = {frozenset(range(len(rules)))} if rules else set()
    for cells in _cells([rule.scope for rule in rules]):
        found = set(sorted({one & cell for one in found for cell in cells}, key=sorted)[:_MOST_SETS])
    return [one for one in sorted(found, key=sorted) if one and not any(one < other for other in found)]


def offsets(zones: Sequence[Zone], since: Instant) -> frozenset[frozenset[int]]:
    """By how many minutes the clocks of the zones are ahead of UTC, all at once: each way of the year from `since`."""
    return frozenset(
        frozenset(zone.offset(t) // MINUTE for zone in zones) for t in range(since, since + 366 * DAY, 6 * HOUR)
    )


def free_anywhere(quiet: int, offsets: Iterable[Iterable[int]]) -> bool:
    """Whether any minute is outside the quiet minutes on all clocks, in any of these ways to set them."""
    return any(_shifted(quiet, each) != ALL for each in offsets)


def _shifted(quiet: int, offsets: Iterable[int]) -> int:
    """The minutes of a week in UTC at which any clock with one of these offsets (minutes) is quiet."""
    found = 0
    for offset in offsets:
        by = offset % WEEK
        found |= (quiet >> by | quiet << (WEEK - by)) & ALL
    return found


def _cells(scopes: Sequence[Scope]) -> Iterable[set[frozenset[int]]]:
    """For each field of a scope: the sets of scopes that match one value of it, or any value that none names."""
    for field in ("channels", "topics", "classes", "intents", "campaigns"):
        named = [getattr(scope, field) for scope in scopes]
        values = {value for each in named if each is not None for value in each}
        cells = {frozenset(i for i, each in enumerate(named) if each is None or value in each) for value in values}
        yield cells | {frozenset(i for i, each in enumerate(named) if each is None)}
