import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import DAY, HOUR
from schemas.vocabulary import DAYS
from services.orchestrator.policy.quiet_windows import QuietWindow, split_wall_time
from services.orchestrator.policy.scope import CompiledScope

HOURS = st.integers(0, 23).map(lambda hour: 60 * hour)


def test_the_first_of_january_1970_was_a_thursday() -> None:
    assert split_wall_time(0) == (3, 0)
    assert split_wall_time(-1) == (2, DAY - 1)
    assert split_wall_time(4 * DAY + 5 * HOUR) == (0, 5 * HOUR)


@pytest.mark.parametrize(
    ("start", "end", "hour", "ends"),
    [
        (8, 12, 7, None),
        (8, 12, 8, 12),
        (8, 12, 12, None),
        (21, 8, 21, 32),
        (21, 8, 7, 8),  # the window of the day before
        (21, 8, 8, None),
        (9, 9, 8, 9),  # the whole day
        (9, 9, 9, 33),
    ],
)
def test_a_window_ends_at_its_end(start: int, end: int, hour: int, ends: int | None) -> None:
    quiet = QuietWindow.from_minutes("q", DAYS, 60 * start, 60 * end, CompiledScope())
    assert quiet.window_end(hour * HOUR) == (None if ends is None else ends * HOUR)


@settings(deadline=None)
@given(st.sets(st.sampled_from(DAYS)), HOURS, HOURS, st.integers(-10 * 24, 10 * 24))
def test_an_hour_is_silent_if_a_window_that_began_today_or_yesterday_holds_it(
    days: set[str], start: int, end: int, hour: int
) -> None:
    quiet, (weekday, clock) = (
        QuietWindow.from_minutes("q", days, start, end, CompiledScope()),
        split_wall_time(hour * HOUR),
    )
    length = (end - start) % (24 * 60) or 24 * 60
    windows = [(back, start - back * 24 * 60) for back in (0, 1) if DAYS[(weekday - back) % 7] in days]
    expected = any(begin <= clock // (HOUR // 60) < begin + length for _, begin in windows)
    assert quiet.contains(weekday, clock) is expected
    assert (quiet.window_end(hour * HOUR) is not None) is expected
