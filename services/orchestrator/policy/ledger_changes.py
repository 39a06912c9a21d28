"""What changed between two ledgers of one customer."""

from collections.abc import Iterable
from typing import NamedTuple

from services.orchestrator.policy.ledger import PLANNED, Contact, Ledger


class Changes(NamedTuple):
    """Contacts that are new or other than they were, and those that gave up their place; both in order of time.

    What was only forgotten gave up nothing.
    """

    contacts: tuple[Contact, ...] = ()
    released: tuple[Contact, ...] = ()


_NOTHING = Changes()


def changes(before: Ledger, after: Ledger) -> Changes:
    """From the earlier to the later."""
    if after.packed == before.packed and after.table == before.table:
        return _NOTHING
    if after.table != before.table and after.kinds[: len(before.kinds)] != before.kinds:
        return _by_contact(before, after)
    if after.packed.startswith(before.packed):  # mostly all that is new is also the latest
        return Changes(tuple([after.contact(place) for place in range(len(before), len(after))]))
    old, new = before.rows, after.rows
    known, still = set(old), set(new)
    return Changes(
        tuple([after.contact(place) for place, row in enumerate(new) if row not in known]),
        _released(before, after, [place for place, row in enumerate(old) if row not in still]),
    )


def _by_contact(before: Ledger, after: Ledger) -> Changes:
    """Where forgetting has renumbered the kinds."""
    known = set(before)
    found = tuple([contact for contact in after if contact not in known])
    return Changes(found, _released(before, after, range(len(before))))


def _released(before: Ledger, after: Ledger, places: Iterable[int]) -> tuple[Contact, ...]:
    gone = [(place, row) for place in places if after.place((row := before.row(place)).id) is None]
    return tuple(
        [before.contact(place) for place, row in gone if row.at >= after.complete_from or row.flags == PLANNED]
    )
