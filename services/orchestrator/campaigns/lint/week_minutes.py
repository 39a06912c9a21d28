"""Sets of minutes of a local week as bits of an integer: union, comparison and measurement of quiet hours."""

from collections.abc import Iterable, Sequence
from functools import cache

from schemas.times import DAY, HOUR, MINUTE, Instant
from services.orchestrator.policy.quiet_windows import QuietWindow
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.time_zones import Zone

_MINUTES_PER_DAY = DAY // MINUTE
MINUTES_PER_WEEK = 7 * _MINUTES_PER_DAY
WHOLE_WEEK = (1 << MINUTES_PER_WEEK) - 1
_MAX_RULE_SETS = 256


@cache
def quiet_minutes(quiet: QuietWindow) -> int:
    """Returns the quiet minutes of a week starting Monday 00:00; hours that cross Sunday's midnight wrap around."""
    length = (quiet.end - quiet.start) % DAY // MINUTE
    found = 0
    for day in quiet.days:
        window = ((1 << length) - 1) << (day * _MINUTES_PER_DAY + quiet.start // MINUTE)
        found |= (window | window >> MINUTES_PER_WEEK) & WHOLE_WEEK
    return found


def combined_quiet_minutes(rules: Iterable[QuietWindow]) -> int:
    """Returns the minutes at which any of these is quiet."""
    minutes = 0
    for rule in rules:
        minutes |= quiet_minutes(rule)
    return minutes


def longest_quiet_span(quiet: int) -> int:
    """Returns the longest quiet stretch in microseconds, wrapping around the week; the whole week if it is all
    quiet.
    """
    if quiet == WHOLE_WEEK:
        return MINUTES_PER_WEEK * MINUTE
    two_weeks, longest_run, current_run = quiet | quiet << MINUTES_PER_WEEK, 0, 0
    for minute in range(2 * MINUTES_PER_WEEK):
        current_run = current_run + 1 if two_weeks >> minute & 1 else 0
        longest_run = max(longest_run, current_run)
    return longest_run * MINUTE


def overlapping_rule_sets(rules: Sequence[QuietWindow]) -> list[frozenset[int]]:
    """Returns the largest sets of rules (by index) that all apply to one message.

    With very many overlapping rules only part is searched: sets may be missing, but none is wrong.
    """
    rule_sets: set[frozenset[int]] = {frozenset(range(len(rules)))} if rules else set()
    for groups in _rules_by_scope_value([rule.scope for rule in rules]):
        rule_sets = set(
            sorted({rule_set & group for rule_set in rule_sets for group in groups}, key=sorted)[:_MAX_RULE_SETS]
        )
    return [
        rule_set
        for rule_set in sorted(rule_sets, key=sorted)
        if rule_set and not any(rule_set < other for other in rule_sets)
    ]


def utc_offset_sets(zones: Sequence[Zone], year_start: Instant) -> frozenset[frozenset[int]]:
    """Returns the offsets from UTC, in minutes, that the zones have at the same time, at any time of the year from
    `year_start`.
    """
    return frozenset(
        frozenset(zone.offset(instant) // MINUTE for zone in zones)
        for instant in range(year_start, year_start + 366 * DAY, 6 * HOUR)
    )


def has_free_minute(quiet: int, offsets: Iterable[Iterable[int]]) -> bool:
    """Whether any minute is outside the quiet minutes on all clocks, for any of these sets of offsets."""
    return any(_quiet_minutes_in_utc(quiet, each) != WHOLE_WEEK for each in offsets)


def _quiet_minutes_in_utc(quiet: int, offsets: Iterable[int]) -> int:
    """Returns the minutes of a UTC week at which any clock with one of these offsets (minutes) is quiet."""
    minutes = 0
    for offset in offsets:
        shift = offset % MINUTES_PER_WEEK
        minutes |= (quiet >> shift | quiet << (MINUTES_PER_WEEK - shift)) & WHOLE_WEEK
    return minutes


def _rules_by_scope_value(scopes: Sequence[CompiledScope]) -> Iterable[set[frozenset[int]]]:
    """For each field of a scope, returns the sets of scopes that match one value, or any value that none names."""
    for field in ("channels", "topics", "classes", "intents", "campaigns"):
        scope_values = [getattr(scope, field) for scope in scopes]
        values = {value for each in scope_values if each is not None for value in each}
        groups = {
            frozenset(i for i, each in enumerate(scope_values) if each is None or value in each) for value in values
        }
        yield groups | {frozenset(i for i, each in enumerate(scope_values) if each is None)}
