"""Changes with distinct times lead to the same preferences in whatever order they arrive."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.own_events import CUSTOMER_IDENTIFIED, PREFERENCE_CHANGED
from services.preference import preference_state as preference
from tests.preference.test_preference_state import NOON, addresses, after, mail

_LOCALES = st.sampled_from(["de", "en"])
_NAMES = st.sampled_from(["a", "b", "c"])
_MAILS = st.lists(st.sampled_from(["x@example.org", "y@example.org", "X@example.org"]), max_size=2)


def _as_preference_change(data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return PREFERENCE_CHANGED, data


_CHANGES = st.one_of(
    st.fixed_dictionaries({"opt_outs": st.sampled_from([[], [{"all": True}]])}).map(_as_preference_change),
    st.fixed_dictionaries({"traits": st.dictionaries(_NAMES, st.integers(0, 9))}).map(_as_preference_change),
    st.fixed_dictionaries(
        {}, optional={"locale": _LOCALES, "traits": st.dictionaries(_NAMES, st.integers(0, 9) | st.none())}
    ).map(lambda data: (CUSTOMER_IDENTIFIED, data)),
    st.fixed_dictionaries({"addresses": _MAILS.map(lambda found: [mail(one) for one in found])}).map(
        lambda data: (CUSTOMER_IDENTIFIED, data)
    ),
)  # fmt: skip


@given(st.lists(_CHANGES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter_when_times_are_distinct(drawn: Any, random: Any) -> None:
    changes = [(kind, NOON + place, data) for place, (kind, data) in enumerate(drawn)]
    shuffled = list(changes)
    random.shuffle(shuffled)
    in_order, mixed = after(*changes), after(*shuffled)
    assert preference.state_document(in_order) == preference.state_document(mixed)
    assert msgspec.structs.replace(in_order.preference, version=0) == msgspec.structs.replace(
        mixed.preference, version=0, traits=in_order.preference.traits
    )


@given(
    st.lists(_CHANGES | st.just((PREFERENCE_CHANGED, {"addresses": [mail("y@example.org")]})), min_size=1, max_size=8),
    st.data(),
)
def test_whole_changes_of_addresses_leave_the_same_addresses_in_any_order(drawn: Any, data: Any) -> None:
    changes = [(kind, NOON + place, fields) for place, (kind, fields) in enumerate(drawn)]
    shuffled = data.draw(st.permutations(changes))
    assert sorted(addresses(after(*changes))) == sorted(addresses(after(*shuffled)))
