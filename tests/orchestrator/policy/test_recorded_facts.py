"""Entries of addresses, put at the places that the addresses had at the time."""

from schemas.facts import Address, Preference, SuppressionEntry, Suppressions
from services.orchestrator.policy.recorded_facts import reindex_address_entries

ASKED = [("email", "old@example.org"), ("email", "new@example.org"), ("sms", "+491701234567")]


def entry(address: int | None) -> SuppressionEntry:
    return SuppressionEntry(None, None, None, 0, None, "hard_bounce", address)


def preference(*places: int) -> Preference:
    return Preference("c-1", addresses=tuple(Address(*ASKED[place], True) for place in places))


def test_an_entry_follows_its_address() -> None:
    known = Suppressions("c-1", entries=(entry(None), entry(1), entry(2)))
    assert [each.address for each in reindex_address_entries(known, ASKED, preference(2, 1)).entries] == [None, 1, 0]


def test_an_entry_of_an_address_that_was_not_there_is_left_out() -> None:
    known = Suppressions("c-1", entries=(entry(0), entry(1)))
    assert [each.address for each in reindex_address_entries(known, ASKED, preference(1)).entries] == [0]


def test_without_such_entries_nothing_changes() -> None:
    known = Suppressions("c-1", entries=(entry(None),))
    assert reindex_address_entries(known, ASKED, preference()) is known


def test_an_entry_covers_every_spelling_of_its_address() -> None:
    spelt = Address("email", "Old@Example.org", True, "old@example.org")
    both = Preference("c-1", addresses=(Address("email", "old@example.org", True), spelt))
    known = Suppressions("c-1", entries=(entry(0),))
    assert [each.address for each in reindex_address_entries(known, ASKED, both).entries] == [0, 1]
