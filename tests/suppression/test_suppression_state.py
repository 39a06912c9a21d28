"""How entries, erasures and quarantines change a customer's state."""

import msgspec
import pytest

from schemas.facts import HoldFact, Quarantine, Situation, SuppressionEntry
from schemas.own_events import CheckedData
from schemas.suppression import Suppression
from schemas.times import DAY
from services.suppression.suppression_state import (
    add_entry,
    apply_event,
    empty_state,
    handles,
    index_address_entries,
    match_address_entries,
    pack,
    plain_address_name,
    quarantine,
    release,
    remove_entry,
    to_facts,
    unpack,
)
from tests.support.suppression_service import COMPLAINT, NOW, event, kinds

KINDS = kinds(COMPLAINT)
BOUNCE = SuppressionEntry("email", None, None, NOW, None, "hard_bounce")
FOREVER, SHORT = BOUNCE, msgspec.structs.replace(BOUNCE, expires=NOW + DAY)


def document(**fields: object) -> Suppression:
    return Suppression.model_validate({"reason": "manual", "at": "2026-03-02T10:00:00Z", **fields})


def test_an_erased_customer_is_covered_by_an_entry_of_everything() -> None:
    state = apply_event(empty_state("c-1"), event("tactful.customer.erased"), CheckedData({}), KINDS)
    assert state is not None
    assert to_facts(state, {}, ()).entries == (SuppressionEntry(None, None, None, NOW, None, "erased"),)
    assert state.version == 1


def test_being_erased_twice_adds_nothing() -> None:
    state = apply_event(empty_state("c-1"), event("tactful.customer.erased"), CheckedData({}), KINDS)
    assert state is not None
    assert apply_event(state, event("tactful.customer.erased", time=NOW + 1), CheckedData({}), KINDS) is state


def test_a_situation_raises_the_version_and_what_changes_nothing_does_not() -> None:
    state = apply_event(empty_state("c-1"), event("shop.complaint.filed"), CheckedData({"case": "A"}), KINDS)
    assert state is not None and state.version == 1
    assert state.situations == (Situation("complaint", '"A"', NOW),)
    assert apply_event(state, event("shop.complaint.filed"), CheckedData({"case": "A"}), KINDS) is state


def test_other_types_do_not_concern_it() -> None:
    assert apply_event(empty_state("c-1"), event("shop.order"), CheckedData({}), KINDS) is None
    assert not handles("shop.order", KINDS)
    assert handles("tactful.customer.erased", KINDS) and handles("tactful.situation.closed", KINDS)


def test_a_policy_may_name_the_erasure_as_a_trigger() -> None:
    both = kinds({"kind": "gone", "opens": [{"event": "tactful.customer.erased"}]})
    state = apply_event(empty_state("c-1"), event("tactful.customer.erased"), CheckedData({}), both)
    assert state is not None and len(state.entries) == len(state.situations) == 1


def test_a_state_survives_packing() -> None:
    state = add_entry(empty_state("c-é"), msgspec.structs.replace(BOUNCE, classes=("marketing",)), "sup_1")
    state = quarantine(state, ("t", 0, 1), NOW)
    assert unpack(pack(state)) == state


@pytest.mark.parametrize(
    ("known", "new", "added"),
    [
        (FOREVER, FOREVER, False),
        (FOREVER, SHORT, False),
        (SHORT, FOREVER, True),
        (FOREVER, msgspec.structs.replace(BOUNCE, at=NOW + 1), False),
        (FOREVER, msgspec.structs.replace(BOUNCE, at=NOW - 1), True),
        (FOREVER, msgspec.structs.replace(BOUNCE, channel=None), True),
        (FOREVER, msgspec.structs.replace(BOUNCE, reason="manual"), True),
        (FOREVER, msgspec.structs.replace(BOUNCE, classes=("marketing",)), True),
    ],
)
def test_an_entry_is_added_unless_one_says_as_much(known: SuppressionEntry, new: SuppressionEntry, added: bool) -> None:
    state = add_entry(empty_state("c-1"), known, "sup_1")
    assert (add_entry(state, new, "sup_2") is not state) == added


def test_an_entry_is_removed_by_its_id() -> None:
    state = add_entry(empty_state("c-1"), BOUNCE, "sup_1")
    assert remove_entry(state, "sup_2") is None
    removed = remove_entry(state, "sup_1")
    assert removed is not None and removed.entries == () and removed.version == 2


def test_entries_of_addresses_carry_the_place_of_the_address_asked_about() -> None:
    found = match_address_entries({"h2": (BOUNCE,), "h9": (BOUNCE,)}, [(0, "h1"), (1, "h2")])
    assert found == (msgspec.structs.replace(BOUNCE, address=1),)


def test_facts_hold_own_entries_before_those_of_addresses() -> None:
    own = SuppressionEntry(None, None, None, NOW, None, "manual")
    answer = to_facts(add_entry(empty_state("c-1"), own), {"h": (BOUNCE,)}, [(0, "h")])
    assert [entry.address for entry in answer.entries] == [None, 0]
    assert answer.customer == "c-1" and answer.version == 1


def test_addresses_of_documents_are_found_without_case_on_every_channel_they_cover() -> None:
    index, unusable = index_address_entries(
        [document(address=" Ada@Example.ORG "), document(address="0171 5551234", scope={"channel": "sms"})], "DE"
    )
    assert unusable == 0
    assert plain_address_name("email", "ada@example.org") in index
    assert plain_address_name("in_app", "Ada@Example.ORG") in index
    assert index[plain_address_name("sms", "+491715551234")][0].channel == "sms"
    assert plain_address_name("push", "+491715551234") not in index


def test_a_document_of_a_customer_names_no_address() -> None:
    assert index_address_entries([document(customer="c-1")], None) == ({}, 0)


def test_a_quarantine_lasts_a_day_or_until_its_letter_is_closed() -> None:
    state = quarantine(empty_state("c-1"), ("t", 0, 1), NOW)
    assert to_facts(state, {}, ()).quarantines == (Quarantine("t", 0, 1, NOW, NOW + DAY),)
    assert release(state, ("t", 0, 2)) is state
    assert to_facts(release(state, ("t", 0, 1)), {}, ()).quarantines == ()


def test_the_hold_of_the_version_before_is_a_quarantine_of_an_unknown_record() -> None:
    hold = HoldFact("unreadable-event", "defer", NOW, NOW + DAY)
    packed = pack(msgspec.structs.replace(empty_state("c-1"), quarantine_holds=(hold,)))
    assert [(each.start, each.until) for each in unpack(packed).quarantines] == [(NOW, NOW + DAY)]
