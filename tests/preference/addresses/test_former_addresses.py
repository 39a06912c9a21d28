"""Which e-mail addresses are former ones: those before which others were given, whatever the order of arrival."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.customer import Customer
from schemas.documents import validate_document
from schemas.own_events import CUSTOMER_IDENTIFIED, PREFERENCE_CHANGED
from schemas.times import MINUTE, format_instant
from services.preference import preference_state as preference
from services.preference.preference_state import PreferenceState, apply_patch, pack, unpack
from tests.preference.test_preference_state import NOON, after, changed, mail

A, B, C = "a@example.org", "b@example.org", "c@example.org"


def told(at: int, *addresses: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    return CUSTOMER_IDENTIFIED, at, {"addresses": list(addresses)}


def former(state: PreferenceState) -> dict[str, int | None]:
    """The minutes after noon since which each address is a former one."""
    found = {each.address: each.former for each in state.preference.addresses}
    return {address: None if at is None else (at - NOON) // MINUTE for address, at in found.items()}


ONE, TWO, THREE = NOON + MINUTE, NOON + 2 * MINUTE, NOON + 3 * MINUTE
SMS = {"channel": "sms", "verified": True}
CASES: dict[str, tuple[list[Any], dict[str, int | None]]] = {
    "a new one takes the place of the old one": ([told(ONE, mail(A, True)), told(TWO, mail(B, True))], {A: 2, B: None}),
    "of a listed one too": ([changed(ONE, addresses=[mail(A, True)]), told(TWO, mail(B, True))], {A: 2, B: None}),
    "one that is not verified takes no place": ([told(ONE, mail(A, True)), told(TWO, mail(B))], {A: None, B: None}),
    "one that was not verified stays as it is": ([told(ONE, mail(A)), told(TWO, mail(B, True))], {A: None, B: None}),
    "two of one event are both current": ([told(ONE, mail(A, True), mail(B, True))], {A: None, B: None}),
    "two of one list are both current": ([changed(ONE, addresses=[mail(A, True), mail(B, True)])], {A: None, B: None}),
    "whoever comes back has the old one": (
        [told(ONE, mail(A, True)), told(TWO, mail(B, True)), told(THREE, mail(A, True))],
        {A: None, B: 3},
    ),
    "an event that repeats what a list has is no news": (
        [changed(ONE, addresses=[mail(A, True), mail(B, True)]), told(TWO, mail(A, True))],
        {A: None, B: None},
    ),
    "nor does it bring back what a list calls former": (
        [
            changed(ONE, addresses=[mail(A, True) | {"former": format_instant(NOON)}, mail(B, True)]),
            told(TWO, mail(A, True)),
        ],
        {A: 0, B: None},
    ),
    "a list may say so": (
        [changed(ONE, addresses=[mail(A, True) | {"former": format_instant(NOON)}, mail(B, True)])],
        {A: 0, B: None},
    ),
    "a later list says anew": (
        [told(ONE, mail(A, True)), told(TWO, mail(B, True)), changed(THREE, addresses=[mail(A, True), mail(B, True)])],
        {A: None, B: None},
    ),
    "telephones stay beside each other": (
        [told(ONE, SMS | {"address": "+491711111111"}), told(TWO, SMS | {"address": "+491711111112"})],
        {"+491711111111": None, "+491711111112": None},
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_a_former_address(changes: list[Any], expected: dict[str, int | None]) -> None:
    assert former(after(*changes)) == expected
    assert former(after(*reversed(changes))) == expected
    assert former(unpack(pack(after(*changes)), "DE")) == expected


def test_the_document_can_be_sent_back_as_it_is() -> None:
    state = after(told(ONE, mail(A, True)), told(TWO, mail(B, True)))
    document = preference.state_document(state)
    assert document["addresses"][0] == mail(A, True) | {"former": format_instant(TWO)}
    as_new = preference.from_document(validate_document(Customer, document))
    assert former(as_new) == {A: 2, B: None}
    sent_back = apply_patch(state, {"addresses": document["addresses"]}, THREE)
    assert former(sent_back) == {A: 2, B: None}


def _text(entry: dict[str, Any]) -> str:
    return str(entry["address"])


_ADDRESSES = st.lists(st.builds(mail, st.sampled_from([A, B, C]), st.booleans()), max_size=3, unique_by=_text)
_GIVEN = st.builds(lambda one, at: one | at, st.builds(mail, st.sampled_from([A, B, C]), st.booleans()),
                   st.sampled_from([{}, {"former": format_instant(NOON)}]))  # fmt: skip
_LISTS = st.lists(_GIVEN, max_size=3, unique_by=_text)


@given(
    st.lists(
        st.tuples(st.just(CUSTOMER_IDENTIFIED), _ADDRESSES)
        | st.tuples(st.just(PREFERENCE_CHANGED), _LISTS),
        min_size=1,
        max_size=7,
    ),
    st.data(),
)  # fmt: skip
def test_the_order_of_arrival_does_not_matter(drawn: Any, data: Any) -> None:
    changes = [(kind, NOON + place * MINUTE, {"addresses": found}) for place, (kind, found) in enumerate(drawn)]
    assert former(after(*changes)) == former(after(*data.draw(st.permutations(changes))))
