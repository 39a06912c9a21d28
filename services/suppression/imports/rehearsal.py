"""A dry run: finds what an import would do to each row, changes no entry, and gives the same results.

What it would have added so far is kept beside the entries and counts as added for its later rows: so a row that stands
twice in the file `exists` the second time, here as there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from schemas.facts import SuppressionEntry
from schemas.times import Instant
from services.kit.db.database import Tx
from services.suppression import suppression_state as states
from services.suppression.entry_registration import AddResult, HashedSuppression, SuppressionList, named_customers
from services.suppression.store import entry_store, state_store
from services.suppression.store.entry_store import NewEntry

_COLUMNS: Final = ("import_id", "hash", "channel", "topic", "classes", "reason", "at", "expires")


async def rehearse_documents(
    tx: Tx, suppression_list: SuppressionList, import_id: str, documents: Sequence[HashedSuppression], now: Instant
) -> list[AddResult]:
    """What `SuppressionList.add_documents` would answer, if what this dry run has rehearsed before had been added."""
    pseudonyms = suppression_list.erased.pseudonyms
    known = await state_store.get_states(tx, sorted(named_customers(documents)))
    gone = await suppression_list.erased.among(tx, [name for name, state in known.items() if not state.version])
    known = {name: state for name, state in known.items() if name not in gone}
    names = {pseudonyms.of_customer(customer): customer for customer in known}
    hashes = [digest for each in documents for digest in each.hashes]
    live_entries = await entry_store.list_address_entries(tx, hashes)
    for digest, entry in await _list_rehearsed(tx, import_id, [*hashes, *names]):
        if digest in names:
            known[names[digest]] = states.add_entry(known[names[digest]], entry)
        else:
            live_entries[digest] = (*live_entries.get(digest, ()), entry)
    results, new = suppression_list.sort_out(documents, known, live_entries, "", now)
    rows = [
        (import_id, digest, *_entry_columns(each))
        for each in new
        for digest in (each.hashes if each.customer is None else [pseudonyms.of_customer(each.customer)])
    ]
    await tx.bulk_insert("suppression_import_rehearsal", _COLUMNS, rows)
    return [replace(result, id=None) for result in results]


def _entry_columns(new: NewEntry) -> tuple[object, ...]:
    entry = new.entry
    classes = entry_store.encode_classes(entry.classes)
    return entry.channel, entry.topic, classes, entry.reason, entry.at, entry.expires


async def _list_rehearsed(tx: Tx, import_id: str, hashes: Iterable[str]) -> list[tuple[str, SuppressionEntry]]:
    rows = await tx.rows(
        f"SELECT hash, channel, topic, classes, reason, at, expires FROM suppression_import_rehearsal "
        f"WHERE import_id = :import_id AND {tx.in_list('hash', 'hashes')} ORDER BY seq",
        import_id=import_id,
        hashes=tx.list_parameter(list(set(hashes))),
    )
    return [
        (
            row.hash,
            SuppressionEntry(
                *(row.channel, row.topic, entry_store.decode_classes(row.classes), row.at, row.expires, row.reason)
            ),
        )
        for row in rows
    ]
