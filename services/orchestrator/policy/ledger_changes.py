"""Compares two ledgers of one customer, for the rows that the contact history appends."""

from collections.abc import Iterable
from typing import NamedTuple

from services.orchestrator.policy.ledger import PLANNED, Contact, Ledger


class LedgerChanges(NamedTuple):
    """New or changed contacts, and released ones; both in order of time. Forgotten contacts are not released."""

    contacts: tuple[Contact, ...] = ()
    released: tuple[Contact, ...] = ()


_NO_CHANGES = LedgerChanges()


def diff_ledgers(before: Ledger, after: Ledger) -> LedgerChanges:
    """Returns what changed from the earlier ledger to the later."""
    if after.packed_rows == before.packed_rows and after.packed_table == before.packed_table:
        return _NO_CHANGES
    if (
        after.packed_table != before.packed_table
        and after.attribute_table[: len(before.attribute_table)] != before.attribute_table
    ):
        return _diff_by_contact(before, after)
    if after.packed_rows.startswith(before.packed_rows):  # only appended: a sixth of the general case
        return LedgerChanges(tuple([after.contact_at(index) for index in range(len(before), len(after))]))
    old, new = before.row_bytes, after.row_bytes
    known, remaining = set(old), set(new)
    return LedgerChanges(
        tuple([after.contact_at(index) for index, row in enumerate(new) if row not in known]),
        _released(before, after, [index for index, row in enumerate(old) if row not in remaining]),
    )


def _diff_by_contact(before: Ledger, after: Ledger) -> LedgerChanges:
    """Compares decoded contacts, since `forget` has renumbered the attribute table and packed rows differ."""
    earlier = set(before)
    added = tuple([contact for contact in after if contact not in earlier])
    return LedgerChanges(added, _released(before, after, range(len(before))))


def _released(before: Ledger, after: Ledger, indexes: Iterable[int]) -> tuple[Contact, ...]:
    missing = [(index, row) for index in indexes if after.index((row := before.row_at(index)).id) is None]
    return tuple(
        [before.contact_at(index) for index, row in missing if row.at >= after.complete_from or row.flags == PLANNED]
    )
