"""Durations in words; instants and durations as texts are tested with the documents that hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import DAY, HOUR, MINUTE, SECOND, describe_duration, parse_instant


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


@given(st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z", fullmatch=True))
def test_the_usual_form_of_an_instant_is_read_as_all_others(text: str) -> None:
    def read(given: str) -> object:
        try:
            return parse_instant(given)
        except ValueError as error:
            return str(error)

    assert read(text) == read(text.replace("Z", "+00:00")) == read(text.replace("Z", "z"))
