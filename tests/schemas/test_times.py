"""Durations in words; instants and durations as texts are tested with the documents that hold them."""

import pytest

from schemas.times import DAY, HOUR, MINUTE, SECOND, describe_duration


@pytest.mark.parametrize(
    "span, expected",
    [
        (30 * DAY, "30 days"),
        (DAY, "1 day"),
        (36 * HOUR, "36 hours"),
        (90 * MINUTE, "90 minutes"),
        (SECOND, "1 second"),
        (SECOND // 2, "0.5 seconds"),
    ],
)
def test_a_duration_is_in_its_largest_whole_unit(span: int, expected: str) -> None:
    assert describe_duration(span) == expected
