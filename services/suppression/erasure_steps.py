"""Erasure of a customer in this service: what happens at the event, and which rows are removed afterwards.

What remains is one entry of the list with the reason `erased`. Its hashes in `address_entry` are the customer's
pseudonym and the keyed hashes of the addresses that were known, so the question for facts, which looks there anyway,
finds the customer as well as the address, under whatever id it comes again.
"""

from collections.abc import Sequence
from typing import Final

from schemas.event import Event
from schemas.facts import SuppressionEntry
from schemas.times import Instant
from schemas.vocabulary import SuppressionReason
from services.erasure import store as erasures
from services.erasure.batches import change_some
from services.erasure.eraser import EraseStep, Subject, changes, delete_dead_letters, delete_stored_answers, deletes
from services.kit.db.database import Tx
from services.suppression.store import entry_store
from services.suppression.store.entry_store import NewEntry

ERASED_MASK: Final = "(erased customer)"
"""What people see in place of whom the entry names."""
_NOTHING_TYPED: Final = "source = NULL, note = NULL, remove_reason = NULL"
_CLEARED_REQUEST: Final = "reason = NULL, decision_reason = NULL, consent_of = NULL"
_ENTRY_IS_LEFT: Final = "(masked <> :mask OR source IS NOT NULL OR note IS NOT NULL OR remove_reason IS NOT NULL)"
_REQUEST_IS_LEFT: Final = "(reason IS NOT NULL OR decision_reason IS NOT NULL OR consent_of IS NOT NULL)"


async def erase_customer(tx: Tx, event: Event, pseudonym: str, entry_id: str, now: Instant) -> None:
    """Record the erasure, put the customer on the list by pseudonym, and forget their state. Idempotent."""
    at = min(event.time, now)
    if not await erasures.begin_erasure(tx, pseudonym, event.subject, at):
        return
    deleted = await tx.execute("DELETE FROM customer_state WHERE customer = :customer", customer=event.subject)
    await erasures.count_rows(tx, pseudonym, {"customer_state": deleted})
    await _add_entry(tx, pseudonym, entry_id, at, now)


async def block_addresses(tx: Tx, pseudonym: str, hashes: Sequence[str], entry_id: str, now: Instant) -> None:
    """Let the entry of an erased customer cover these addresses too, given by their keyed hashes, and make other
    entries of them anonymous. Idempotent.
    """
    row = await tx.row("SELECT id FROM address_entry WHERE hash = :hash ORDER BY id LIMIT 1", hash=pseudonym)
    if row is None:
        await _add_entry(tx, pseudonym, entry_id, now, now)
    await tx.execute(
        f"INSERT INTO address_entry (hash, id, reason, at, as_spelt) SELECT k.hash, e.id, e.reason, e.at, 0 "
        f"FROM {tx.table_parameter('k', {'hash': 'text'})} CROSS JOIN suppression_entry e WHERE e.id = :id "
        "ON CONFLICT (hash, id) DO NOTHING",
        id=entry_id if row is None else row.id,
        **tx.bind_table_parameter("k", {"hash": "text"}, [(each,) for each in sorted(set(hashes))]),
    )
    await _clear_address_entries(tx, pseudonym, hashes)


async def _clear_address_entries(tx: Tx, pseudonym: str, hashes: Sequence[str]) -> None:
    """Forget what people see and have typed on entries of the addresses themselves, and on requests to remove them."""
    of_addresses = f"SELECT a.id FROM address_entry a WHERE {tx.in_list('a.hash', 'hashes')}"
    named = tx.list_parameter(sorted(set(hashes)))
    entries = await tx.execute(
        f"UPDATE suppression_entry SET masked = :mask, {_NOTHING_TYPED} "
        f"WHERE id IN ({of_addresses}) AND {_ENTRY_IS_LEFT}",
        mask=ERASED_MASK,
        hashes=named,
    )
    requests = await tx.execute(
        f"UPDATE removal_request SET {_CLEARED_REQUEST} WHERE entry_id IN ({of_addresses}) AND {_REQUEST_IS_LEFT}",
        hashes=named,
    )
    await erasures.count_rows(tx, pseudonym, {"suppression_entry": entries, "removal_request": requests})


async def _add_entry(tx: Tx, pseudonym: str, entry_id: str, at: Instant, now: Instant) -> None:
    entry = SuppressionEntry(None, None, None, at, None, SuppressionReason.ERASED.value)
    new = NewEntry(entry_id, None, ERASED_MASK, (pseudonym,), entry, None, "event")
    await entry_store.insert_entries(tx, [new], now)


async def _clear_removal_requests(tx: Tx, subject: Subject) -> int:
    """Step: keep who asked for which removal and who decided, without what people typed about the customer."""
    of_customer = "entry_id IN (SELECT id FROM suppression_entry WHERE customer = :customer)"
    cleared = await change_some(
        tx,
        "removal_request",
        _CLEARED_REQUEST,
        f"({of_customer} OR consent_of = :customer) AND {_REQUEST_IS_LEFT}",
        customer=subject.customer,
    )
    return subject.note("removal_request", cleared)


ERASE_STEPS: Final[tuple[EraseStep, ...]] = (
    delete_dead_letters,
    deletes("customer_state"),
    deletes("situation_event"),
    deletes("quarantine"),
    deletes("inbox"),
    _clear_removal_requests,
    # Other entries stay for the count of the lists, without the id and what people typed.
    changes("suppression_entry", f"customer = :pseudonym, {_NOTHING_TYPED}"),
    delete_stored_answers,
)
