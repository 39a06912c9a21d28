import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.policy.ledger import CONTACT_STATES, Contact, Ledger
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.policy_builders import at, campaign, contact, ledger

WORDS = st.text(max_size=8)
CONTACTS = st.builds(
    Contact,
    message_id=st.binary(min_size=16, max_size=16).map(lambda raw: "msg_" + raw.hex()),
    event_hash=st.integers(-(2**63), 2**63 - 1),
    attributes=st.builds(MessageAttributes, WORDS, st.none() | WORDS, WORDS, WORDS, st.none() | WORDS),
    priority=st.integers(0, 100),
    at=st.integers(-(2**60), 2**60),
    first_planned=st.integers(-(2**60), 2**60),
    state=st.sampled_from(CONTACT_STATES),
    reported=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(CONTACTS, max_size=20))
def test_packed_and_unpacked_it_is_the_same(contacts: list[Contact]) -> None:
    known = ledger(*contacts)
    assert Ledger.unpack(known.pack()) == known
    assert sorted(known) == sorted({each.message_id: each for each in contacts}.values())
    assert [each.at for each in known] == sorted(each.at for each in known)


WRITTEN = ledger(contact("02 10:00")).pack()


@pytest.mark.parametrize("packed", [b"", b"\x01" + bytes(12), b"\x01" + WRITTEN[1:], WRITTEN[:-1]])
def test_other_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="ledger"):
        Ledger.unpack(packed)


def test_the_life_of_a_contact() -> None:
    planned = contact("02 10:00", state="planned", since="01 10:00")
    name = planned.message_id
    marked = ledger(planned).claim_contact(name, at("02 10:05"))
    assert marked.find_contact(name) == planned._replace(state="made", at=at("02 10:05"))
    made = marked.set_contact_state(name, "made")
    assert made.find_contact(name) == planned._replace(state="made", at=at("02 10:05"))
    assert len(made.release(name)) == 0
    assert ledger(planned).put_contact(planned._replace(at=at("03 10:00"))).find_contact(name) == planned._replace(
        at=at("03 10:00")
    )


def test_a_mark_needs_its_contact_and_other_changes_do_not() -> None:
    name = contact("02 10:00").message_id
    with pytest.raises(KeyError):
        Ledger.empty().claim_contact(name, 0)
    assert Ledger.empty().set_contact_state(name, "made") is Ledger.empty()
    assert Ledger.empty().release(name) is Ledger.empty()


def test_a_reported_contact_counts_as_made() -> None:
    found = Ledger.empty().put_reported_contact(contact("02 10:00", state="planned"))
    assert [(each.state, each.reported) for each in found] == [("made", True)]


def test_forgetting_leaves_what_is_planned_and_says_from_when_it_is_complete() -> None:
    old = contact("01 10:00")
    waiting, new = contact("01 11:00", state="planned"), contact("03 10:00")
    found = ledger(old, waiting, new).forget(at("02 00:00"))
    assert list(found) == [waiting, new]
    assert found.complete_from == at("02 00:00")
    assert found.forget(at("01 00:00")) is found.forget(at("02 00:00")) is found
    assert Ledger.unpack(found.pack()) == found


def test_a_mark_moves_a_contact_to_its_place_in_time() -> None:
    early, middle, late = contact("02 10:00", state="planned"), contact("02 11:00"), contact("02 12:00")
    marked = ledger(early, middle, late).claim_contact(early.message_id, at("02 11:30"))
    assert list(marked) == [middle, early._replace(state="made", at=at("02 11:30")), late]


@pytest.mark.parametrize("when", ["02 11:00", "02 10:30", "02 13:00"])
def test_a_mark_changes_time_and_state_of_its_own_contact_alone(when: str) -> None:
    first, second = contact("02 10:00", state="planned"), contact("02 11:00", state="planned", since="01 09:00")
    marked = ledger(first, second).claim_contact(second.message_id, at(when))
    assert list(marked) == [first, second._replace(state="made", at=at(when))]


def test_a_contact_is_not_found_by_bytes_that_lie_across_fields() -> None:
    one = contact("02 10:00")
    packed = ledger(one, contact("02 11:00")).packed_rows
    across = [packed[start : start + 16] for start in range(1, len(packed) - 15) if start % 44]
    assert [ledger(one).index(raw) for raw in across] == [None] * len(across)
    assert ledger(one).index(packed[:16]) == 0


def test_a_contact_is_found_before_the_same_bytes_across_the_fields_of_another() -> None:
    first, second = contact("02 10:00"), contact("02 11:00")
    raw = bytes.fromhex(first.message_id[4:])
    event, time = (int.from_bytes(half, "little", signed=True) for half in (raw[:8], raw[8:]))
    both = ledger(first._replace(at=time - 1), second._replace(event_hash=event, at=time))
    assert both.packed_rows.count(raw) == 2
    assert both.index(raw) == 0


def test_columns_are_those_of_the_contacts() -> None:
    known = ledger(contact("02 12:00", state="planned"), contact("02 10:00", of=campaign("new")), contact("02 11:00"))
    found = [known.row_at(place) for place in range(3)]
    assert known.times == tuple(row.at for row in found) == (at("02 10:00"), at("02 11:00"), at("02 12:00"))
    assert known.event_hashes == tuple(row.event_hash for row in found)
    assert known.attribute_indexes == tuple(row.attributes_index for row in found)
    assert tuple(known.flags) == tuple(row.flags for row in found)
    assert b"".join(known.row_bytes) == known.packed_rows


def test_contacts_of_an_event() -> None:
    one = contact("02 10:00", event_id="e-1")
    assert ledger(one, contact("02 11:00")).contacts_of_event(one.event_hash) == (one,)


def test_a_table_that_is_none_is_refused() -> None:
    packed = ledger(contact("02 10:00")).pack()
    head = struct.calcsize("<BqI")
    with pytest.raises(ValueError, match="ledger"):
        Ledger.unpack(packed[:head] + b"\xc1" + packed[head + 1 :])


def test_its_form_is_the_one_that_is_written_down() -> None:
    """Rows of 44 bytes behind one byte of version, `complete_from` and the table: what is stored must stay readable."""
    one = contact("02 10:00", state="unknown", reported=True)._replace(
        message_id="msg_" + "ab" * 16, event_hash=-5, priority=7
    )
    known = Ledger(complete_from=at("01 00:00")).put_contact(one)
    table = msgspec.msgpack.encode([list(one.attributes)])
    row = bytes.fromhex("ab" * 16) + struct.pack("<qqqHBB", -5, one.at, one.first_planned, 0, 7, 2 | 4)
    assert known.pack() == struct.pack("<BqI", 2, at("01 00:00"), len(table)) + table + row
    assert Ledger.empty().pack() == struct.pack("<BqI", 2, -(2**63), 1) + msgspec.msgpack.encode(())


def test_kinds_that_no_contact_has_any_more_are_forgotten_and_the_others_keep_theirs() -> None:
    gone, one, two = (campaign(name) for name in ("gone", "one", "two"))
    known = ledger(contact("01 10:00", of=gone), contact("03 10:00", of=two), contact("04 10:00", of=one))
    found = known.forget(at("02 00:00"))
    assert [each.attributes.campaign for each in found] == ["two", "one"]
    assert [kind.campaign for kind in found.attribute_table] == ["two", "one"]


def test_of_several_events_those_of_one_are_told() -> None:
    one = contact("02 10:00", event_id="e-1")
    assert ledger(one).contacts_of_event(one.event_hash + 1) == ()
    assert Ledger.empty().find_contact(one.message_id) is None


def test_contacts_of_one_instant_lie_in_order_of_message() -> None:
    contacts = [contact("02 10:00", event_id=f"e-{number}") for number in range(6)]
    known = ledger(*contacts)
    assert [each.message_id for each in known] == sorted(each.message_id for each in contacts)


def test_a_mark_or_an_end_keeps_what_was_reported() -> None:
    one = contact("02 10:00", reported=True)
    known = ledger(one)
    assert known.claim_contact(one.message_id, one.at).find_contact(one.message_id) == one._replace(state="made")
    assert known.set_contact_state(one.message_id, "unknown").find_contact(one.message_id) == one._replace(
        state="unknown"
    )


def test_a_contact_is_planned_unless_it_says_otherwise() -> None:
    plain = Contact("msg_" + "0" * 32, 1, MessageAttributes("a", None, "email", "service", None), 50, 2, 3)
    assert (plain.state, plain.reported) == ("planned", False)


def test_what_was_made_at_the_very_instant_is_not_forgotten() -> None:
    one = contact("02 10:00")
    assert list(ledger(one).forget(one.at)) == [one]
    assert list(ledger(one).forget(one.at + 1)) == []


def test_a_kind_is_kept_once() -> None:
    known = ledger(contact("02 10:00"), contact("02 11:00"), contact("02 12:00", channel="push"))
    assert [kind.channel for kind in known.attribute_table] == ["email", "push"]


def test_the_end_of_one_leaves_the_others_as_they_are() -> None:
    contacts = [contact(f"02 1{hour}:00", state="made") for hour in range(3)]
    for place, one in enumerate(contacts):
        found = ledger(*contacts).set_contact_state(one.message_id, "unknown")
        assert [each.state for each in found] == [
            "unknown" if place == other else "made" for other in range(len(contacts))
        ]


def test_a_contact_of_like_bytes_is_found_where_it_begins() -> None:
    one = contact("02 10:00")._replace(message_id="msg_" + "ab" * 16, event_hash=0xAB)
    assert ledger(one).index(bytes.fromhex("ab" * 16)) == 0
