"""How quarantines of a customer begin and end."""

from schemas.facts import Quarantine
from schemas.quarantine import MAX_NAMED, QUARANTINE_SPAN, begin_quarantine, end_quarantine

NOW = 1_000_000


def begun(count: int) -> tuple[Quarantine, ...]:
    """The quarantines after so many records, one a microsecond."""
    found: tuple[Quarantine, ...] = ()
    for number in range(count):
        found = begin_quarantine(found, ("t", 0, number), NOW + number)
    return found


def test_each_ends_with_its_letter() -> None:
    found = begun(MAX_NAMED)
    assert [each.offset for each in found] == list(range(MAX_NAMED))
    for number in range(MAX_NAMED):
        found = end_quarantine(found, ("t", 0, number))
    assert found == ()


def test_thousands_of_records_are_one_quarantine_beside_the_first_and_last_as_long_as_the_last() -> None:
    found = begun(2_000)  # each state had all of them, and so had each row of its history: 86 MB
    assert len(found) == MAX_NAMED + 1
    rest = found[-1]
    assert rest.ends_by_itself
    assert (rest.start, rest.until) == (NOW + MAX_NAMED, NOW + 1_999 + QUARANTINE_SPAN)
    for number in range(2_000):
        found = end_quarantine(found, ("t", 0, number))
    assert found == (rest,)


def test_one_that_has_ended_makes_room() -> None:
    late = begin_quarantine(begun(MAX_NAMED), ("t", 0, 99), NOW + 2 * QUARANTINE_SPAN)
    assert [each.offset for each in late] == [99]
