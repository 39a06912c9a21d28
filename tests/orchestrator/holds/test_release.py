"""The pace of a release."""

from bisect import bisect_right

import pytest

from schemas.times import SECOND
from services.orchestrator.holds.release import TURN_LOOKAHEAD, free_turns, release_turns
from tests.support.orchestrator_app import NOON


@pytest.mark.parametrize(
    ("count", "rate", "seconds"),
    [
        (0, 50, []),
        (3, 50, [0, 0, 0]),  # what fits into one second goes at once
        (3, 1, [0, 1, 2]),
        (5, 2, [0, 0, 0.5, 1, 1.5]),
        (4, 3, [0, 0, 0, 1 / 3]),
    ],
)
def test_what_exceeds_one_second_is_spread_evenly(count: int, rate: int, seconds: list[float]) -> None:
    given, _ = release_turns(count, rate, NOON, NOON)
    assert given == [NOON + int(each * SECOND) for each in seconds]


@pytest.mark.parametrize("rate", [1, 3, 7, 50, 999])
def test_no_second_after_the_first_has_more_turns_than_the_rate(rate: int) -> None:
    given, _ = release_turns(12 * rate, rate, NOON, NOON)
    assert given == sorted(given)
    for start in given:
        within = bisect_right(given, start + SECOND) - bisect_right(given, start)
        assert within <= rate


def test_turns_go_on_where_the_last_ones_ended() -> None:
    first, next_at = release_turns(7, 4, NOON, NOON)
    rest, _ = release_turns(5, 4, NOON, next_at)
    assert first + rest == release_turns(12, 4, NOON, NOON)[0]
    later = NOON + 60 * SECOND
    assert release_turns(4, 4, later, next_at)[0] == [later] * 4


@pytest.mark.parametrize("rate", [1, 50, 1000])
def test_there_is_room_for_turns_until_ahead(rate: int) -> None:
    given, next_at = release_turns(free_turns(rate, NOON, NOON), rate, NOON, NOON)
    assert given[-1] == NOON + TURN_LOOKAHEAD
    assert free_turns(rate, NOON, next_at) == 0
