"""The table of shortcuts can be made, and its plain code gives what the shortcuts give."""

from services.orchestrator.policy import counted_contacts
from tests.bench.shortcuts import MASKS, SLOTS, build_ledger, compare, times_by_slot_plain


def test_every_shortcut_is_timed_beside_plain_code() -> None:
    assert all(each.shortcut > 0 and each.plain > 0 for each in compare(8, rounds=1, calls=10))


def test_the_slots_are_those_of_the_plain_code() -> None:
    for count in (0, 1, 8, 64):
        ledger = build_ledger(count)
        found = counted_contacts._times_by_slot(ledger.times, ledger, (), MASKS, SLOTS)
        assert {slot: list(times) for slot, times in found.items()} == times_by_slot_plain(ledger)
