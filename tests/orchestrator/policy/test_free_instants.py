import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import DAY, HOUR
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.time_zones import load_zone
from tests.support.policy_builders import at

TIMES = st.lists(st.integers(0, 60), max_size=12).map(sorted)


def fits(times: list[int], limit: int, length: int, t: int) -> bool:
    """Brute force: no window [x, x + length) that contains t holds `limit` times."""
    return all(sum(x <= s < x + length for s in times) < limit for x in range(t - length + 1, t + 1))


@settings(deadline=None, max_examples=300)
@given(TIMES, st.integers(1, 4), st.integers(1, 20), st.integers(0, 60))
def test_rolling_is_the_least_instant_that_fits(times: list[int], limit: int, length: int, t: int) -> None:
    expected = next(later for later in range(t, 200) if fits(times, limit, length, later))
    assert free_instants.next_free_rolling(times, limit, length, t) == expected


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 60), max_size=20), st.integers(1, 4), st.integers(1, 20))
def test_whoever_asks_no_window_ever_holds_more_than_the_limit(asks: list[int], limit: int, length: int) -> None:
    made: list[int] = []
    for ask in asks:
        made = sorted([*made, free_instants.next_free_rolling(made, limit, length, ask)])
    assert all(sum(x <= s < x + length for s in made) <= limit for x in range(-20, 200))


@settings(deadline=None, max_examples=200)
@given(TIMES, st.integers(1, 20), st.integers(0, 60))
def test_after_each_is_the_least_instant_outside(times: list[int], within: int, t: int) -> None:
    expected = next(later for later in range(t, 400) if not any(s <= later < s + within for s in times))
    assert free_instants.next_free_after_each(times, within, t) == expected


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "America/St_Johns"]),
    st.sampled_from(["day", "week"]),
    st.lists(st.integers(0, 24 * 30), max_size=10),
    st.integers(1, 3),
    st.integers(0, 24 * 30),
)
def test_calendar_is_the_first_period_with_room(name: str, unit: str, hours: list[int], limit: int, now: int) -> None:
    local, start = load_zone(name), 1_540_000_000_000_000 // HOUR * HOUR  # October 2018, over clock changes
    assert local is not None
    times, t = sorted(start + hour * HOUR for hour in hours), start + now * HOUR
    free = free_instants.next_free_calendar(times, limit, unit, local, 0, t)

    def period_of(at: int) -> int:
        return local.local_day(at) if unit == "day" else (local.local_day(at) + 3) // 7

    assert free >= t
    assert sum(period_of(at) == period_of(free) for at in times) < limit
    for earlier in range(t, free, HOUR // 2):
        assert sum(period_of(at) == period_of(earlier) for at in times) >= limit
    assert free == t or period_of(free - 1) != period_of(free)
    assert free - t < 400 * DAY


@pytest.mark.parametrize(
    ("name", "times", "t", "free"),
    [
        ("America/New_York", ["2026-03-09T02:00:00Z"], "10 12:00", "10 12:00"),  # there it still was Sunday
        ("America/New_York", ["2026-03-09T04:00:00Z"], "10 12:00", "16 04:00"),
        ("Asia/Kathmandu", ["2026-03-08T18:15:00Z"], "05 12:00", "05 12:00"),  # there it was Monday already
        ("Asia/Kathmandu", ["2026-03-08T18:14:59Z"], "05 12:00", "08 18:15"),
        ("Etc/UTC", ["1969-06-02T12:00:00Z", "1969-06-24T12:00:00Z"], "1969-06-03T00:00:00Z", "1969-06-09T00:00:00Z"),
    ],
)
def test_a_week_holds_the_times_of_its_own_local_days(name: str, times: list[str], t: str, free: str) -> None:
    local = load_zone(name)
    assert local is not None
    assert free_instants.next_free_calendar([at(each) for each in times], 1, "week", local, 0, at(t)) == at(free)
