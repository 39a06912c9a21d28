"""When a provider is asked about a message, and from when on an absence proves something."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.adapter_registry import ProviderSearch
from services.orchestrator.delivery.search_times import FIRST_SEARCH, next_search, proves_absence

DAY = 86_400.0
AGES = st.floats(0, 2 * DAY)


def times(search: ProviderSearch) -> list[float]:
    found: list[float] = []
    while (age := next_search(search, found[-1] if found else 0.0)) is not None:
        found.append(age)
    return found


def test_the_times_double_and_hold_the_first_that_proves_an_absence() -> None:
    assert times(ProviderSearch(3600.0, 600.0)) == [60.0, 120.0, 240.0, 480.0, 600.0, 960.0, 1920.0]


def test_without_such_a_time_it_is_asked_all_the_same() -> None:
    assert times(ProviderSearch(300.0)) == [60.0, 120.0, 240.0]


def test_an_absence_can_be_proven_before_the_first_usual_search() -> None:
    assert times(ProviderSearch(100.0, 2.0)) == [2.0, FIRST_SEARCH]


@given(AGES, st.one_of(st.none(), AGES), st.floats(1, DAY))
def test_no_search_comes_after_the_provider_may_have_forgotten(
    age: float, absent_after: float | None, shown: float
) -> None:
    found = next_search(ProviderSearch(shown, absent_after), age)
    assert found is None or age < found <= shown * 0.9


@given(AGES, st.one_of(st.none(), AGES), st.floats(1, DAY))
def test_an_absence_proves_nothing_too_early_or_too_late(age: float, absent_after: float | None, shown: float) -> None:
    proven = proves_absence(ProviderSearch(shown, absent_after), age)
    assert proven == (absent_after is not None and absent_after <= age <= shown * 0.9)
