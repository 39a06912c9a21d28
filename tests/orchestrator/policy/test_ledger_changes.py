"""What changed between two ledgers is what a comparison of their contacts says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.ledger_changes import diff_ledgers
from tests.support.policy_builders import at, campaign, contact, ledger

OLD, NEW = contact("02 10:00"), contact("03 10:00", of=campaign("new"))


def test_a_ledger_that_stays_the_same_changed_nothing() -> None:
    known = ledger(OLD)
    assert diff_ledgers(known, known) == diff_ledgers(known, Ledger.unpack(known.pack())) == ((), ())


def test_new_altered_and_released_contacts_are_told_in_order_of_time() -> None:
    waiting = contact("04 10:00", state="planned")
    before = ledger(OLD, waiting)
    moved = before.put_contact(NEW).set_contact_state(OLD.message_id, "unknown").release(waiting.message_id)
    assert diff_ledgers(before, moved) == ((OLD._replace(state="unknown"), NEW), (waiting,))


def test_forgetting_releases_nothing_even_where_kinds_are_renumbered() -> None:
    before = ledger(OLD, NEW)
    after = before.forget(at("03 00:00"))
    assert diff_ledgers(before, after) == ((), ())
    marked = after.claim_contact(NEW.message_id, at("03 11:00"))
    assert diff_ledgers(before, marked).contacts == (NEW._replace(state="made", at=at("03 11:00")),)


def test_what_was_open_beyond_the_ledgers_reach_is_released_all_the_same() -> None:
    overdue = contact("01 10:00", state="planned")
    before = ledger(overdue).forget(at("02 00:00"))
    assert diff_ledgers(before, before.release(overdue.message_id)).released == (overdue,)


CONTACTS = st.lists(
    st.builds(
        contact,
        st.integers(1, 9).map(lambda day: f"0{day} 10:00"),
        of=st.sampled_from([campaign("one"), campaign("two"), campaign("three")]),
        event_id=st.sampled_from("abcdef"),
        state=st.sampled_from(["planned", "made", "unknown"]),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(CONTACTS, CONTACTS, CONTACTS, st.none() | st.integers(1, 9))
def test_from_one_ledger_to_the_other(
    first: list[Contact], gone: list[Contact], more: list[Contact], day: int | None
) -> None:
    before = after = ledger(*first)
    for each in gone:
        after = after.release(each.message_id)
    for each in more:
        after = after.put_contact(each)
    if day is not None:
        after = after.forget(at(f"0{day} 12:00"))
    found = diff_ledgers(before, after)
    assert found.contacts == tuple(each for each in after if each not in set(before))
    assert found.released == tuple(
        each
        for each in before
        if after.find_contact(each.message_id) is None and (each.at >= after.complete_from or each.state == "planned")
    )


def test_what_is_gone_from_the_very_instant_of_forgetting_was_released() -> None:
    before = ledger(OLD)
    assert diff_ledgers(before, before.forget(OLD.at).release(OLD.message_id)) == ((), (OLD,))


def test_another_kind_behind_equal_rows_is_a_change() -> None:
    other = OLD._replace(attributes=OLD.attributes._replace(channel="push"))
    assert ledger(OLD).packed_rows == ledger(other).packed_rows
    assert diff_ledgers(ledger(OLD), ledger(other)).contacts == (other,)
