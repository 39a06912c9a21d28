"""Arithmetic on instants: the earliest one that a cap or gap allows, given the times of counted contacts."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from schemas.times import DAY, Instant
from services.orchestrator.policy.time_zones import LONGEST_PERIOD, Zone, calendar_period


def next_free_rolling(times: Sequence[Instant], limit: int, length: int, t: Instant) -> Instant:
    """Returns the earliest instant from `t` on whose half-open windows of `length` all hold fewer than `limit` times.

    `times` are in ascending order. Of each `limit` neighbours, first a and last b, closer together than `length`,
    a window holds them and t for every t strictly between b - length and a + length.
    """
    if len(times) < limit or times[-limit] <= t - length:
        return t
    for index in range(bisect_right(times, t - length), len(times) - limit + 1):
        first, last = times[index], times[index + limit - 1]
        if last - length >= t:
            break
        if last - first < length and t < first + length:
            t = first + length
    return t


def next_free_after_each(times: Sequence[Instant], within: int, t: Instant) -> Instant:
    """Returns the earliest instant from `t` on that is in no `[c, c + within)` of the ascending `times`."""
    if not times or times[-1] <= t - within:
        return t
    for index in range(bisect_right(times, t - within), len(times)):
        at = times[index]
        if at > t:
            break
        t = at + within
    return t


def next_free_calendar(
    times: Sequence[Instant], limit: int, unit: str, zone: Zone, week_start: int, t: Instant
) -> Instant:
    """Returns the earliest instant from `t` on whose local day, week or month holds fewer than `limit` of the times."""
    if len(times) < limit or times[-limit] <= t - LONGEST_PERIOD[unit]:
        return t
    first, after = calendar_period(zone.local_day(t), unit, week_start)
    while _count_in_days(times, zone, first, after) >= limit:
        t = zone.first_at_wall_time(t, after * DAY)
        first, after = calendar_period(zone.local_day(t), unit, week_start)
    return t


def _count_in_days(times: Sequence[Instant], zone: Zone, first: int, after: int) -> int:
    """Counts the times in local days `first` to before `after`; only times near an edge need the zone look-up."""
    low, inner = bisect_left(times, (first - 1) * DAY), bisect_left(times, (first + 1) * DAY)
    outer, high = max(inner, bisect_left(times, (after - 1) * DAY)), bisect_left(times, (after + 1) * DAY)
    near = (*times[low:inner], *times[outer:high])
    return outer - inner + sum(1 for at in near if first <= zone.local_day(at) < after)
