"""What the shortcuts of the contact ledger save: `python -m tests.bench.shortcuts`.

Each shortcut of `services/orchestrator/policy/` is timed beside the plain code that would do the same, on ledgers of 8
and 64 contacts. A shortcut that is not clearly faster should be replaced by the plain code.
"""

import os
import timeit
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.times import HOUR, Instant
from services.orchestrator.policy import counted_contacts, ledger_changes
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.scope import MessageAttributes

SLOTS = range(10)
MASKS = [0b10101 + (number % 2 << 3) for number in range(8)]
"""Ten policy entries that count the contacts of eight campaigns in four different ways."""


class Comparison(NamedTuple):
    """Microseconds of a shortcut and of the plain code for the same result."""

    name: str
    shortcut: float
    plain: float


def build_ledger(count: int) -> Ledger:
    """A ledger of `count` contacts of eight campaigns, an hour apart."""
    ledger = Ledger.empty()
    for number in range(count):
        ledger = ledger.put_contact(_contact(number))
    return ledger


def compare(count: int, rounds: int = 5, calls: int = 5_000) -> list[Comparison]:
    """Times each shortcut on a ledger of `count` contacts; the best of `rounds` rounds."""
    ledger = build_ledger(count)
    latest, unknown = ledger.row_at(count - 1).id, os.urandom(16)
    longer = ledger.put_contact(_contact(count))
    pairs: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("find the latest message", lambda: ledger.index(latest), lambda: _index_plain(ledger, latest)),
        ("miss a message", lambda: ledger.index(unknown), lambda: _index_plain(ledger, unknown)),
        (
            "compare with one contact more",
            lambda: ledger_changes.diff_ledgers(ledger, longer),
            lambda: _changed_plain(ledger, longer),
        ),
        (
            "sort times into ten slots",
            lambda: counted_contacts._times_by_slot(ledger.times, ledger, (), MASKS, SLOTS),
            lambda: times_by_slot_plain(ledger),
        ),
        ("read all times", lambda: _read_times(ledger), lambda: [contact.at for contact in ledger]),
    ]
    return [
        Comparison(name, _microseconds(fast, rounds, calls), _microseconds(plain, rounds, calls))
        for name, fast, plain in pairs
    ]


def times_by_slot_plain(ledger: Ledger) -> Mapping[int, Sequence[Instant]]:
    """The times that count in each slot, by asking each contact's mask for each slot."""
    pairs = list(zip(ledger.times, ledger.attribute_indexes, strict=True))
    return {slot: [at for at, index in pairs if MASKS[index] >> slot & 1] for slot in SLOTS}


def _contact(number: int) -> Contact:
    attributes = MessageAttributes(f"campaign-{number % 8}", "news", "push", "marketing", "inform")
    at = number * HOUR
    return Contact(f"msg_{os.urandom(16).hex()}", number, attributes, 50, at, at, "made")


def _index_plain(ledger: Ledger, raw: bytes) -> int | None:
    return next((index for index in reversed(range(len(ledger))) if ledger.row_at(index).id == raw), None)


def _changed_plain(before: Ledger, after: Ledger) -> tuple[list[Contact], list[Contact]]:
    known, remaining = set(before), {contact.message_id for contact in after}
    return [each for each in after if each not in known], [each for each in before if each.message_id not in remaining]


def _read_times(ledger: Ledger) -> object:
    # A fresh value: `times` is kept on the ledger once it has been read.
    return Ledger(ledger.packed_table, ledger.packed_rows, ledger.complete_from).times


def _microseconds(call: Callable[[], object], rounds: int, calls: int) -> float:
    return min(timeit.repeat(call, number=calls, repeat=rounds)) / calls * 1e6


def main() -> None:
    """Prints the table."""
    for count in (8, 64):
        for name, shortcut, plain in compare(count):
            print(f"{count:3} contacts  {name:32} {shortcut:7.2f} us, plain {plain:7.2f} us")


if __name__ == "__main__":
    main()
