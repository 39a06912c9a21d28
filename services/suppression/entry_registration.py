"""Adds and removes do-not-contact entries, singly or by the thousand, and reports the result of each.

Plain addresses are hashed and masked here; no plain address is stored or logged.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.facts import SuppressionEntry
from schemas.ids import hash_address
from schemas.service_api import AttemptScope
from schemas.suppression import Suppression
from schemas.times import Instant
from services.kit.db.database import Tx
from services.suppression import suppression_state as states
from services.suppression.store import entry_store
from services.suppression.store import state_store as store
from services.suppression.store.entry_store import NewEntry
from services.suppression.suppression_state import SuppressionState, address_names, is_covered_by, to_entry


@dataclass(frozen=True, slots=True)
class AddResult:
    """The result of adding a document: `exists` when an equal entry is valid at least as long."""

    status: Literal["added", "exists"]
    id: str | None
    scopes: tuple[AttemptScope, ...]


def new_entry_id(at: Instant) -> str:
    """An id for an entry; ids sort by time."""
    return f"sup_{max(at, 0):014x}{secrets.token_hex(8)}"


def mask_address(address: str) -> str:
    """An address as people may see it: `a***@example.org`, `***67`."""
    local, at, domain = address.strip().rpartition("@")
    return f"{local[:1]}***@{domain}" if at else f"***{address.strip()[-2:]}"


class SuppressionList:
    """Adds and removes entries. `address_key` hashes addresses."""

    def __init__(self, address_key: bytes) -> None:
        self._address_key = address_key

    def address_hashes(self, document: Suppression) -> tuple[str, ...]:
        """The keyed hashes of a document's address; one per channel when it names no channel."""
        return address_names(document, self.hash_address)

    def hash_address(self, channel: str, address: str) -> str:
        """The keyed hash under which an address is stored."""
        return hash_address(self._address_key, channel, address)

    def attempt_scopes(self, document: Suppression) -> tuple[AttemptScope, ...]:
        """The attempts that a document concerns."""
        entry = to_entry(document)
        channels = None if entry.channel is None else (entry.channel,)
        topics = None if entry.topic is None else (entry.topic,)
        if document.customer is not None:
            return (AttemptScope(document.customer, channels, topics, entry.classes),)
        return tuple(
            AttemptScope(None, channels, topics, entry.classes, address=digest)
            for digest in self.address_hashes(document)
        )

    async def add_documents(
        self, tx: Tx, documents: Sequence[Suppression], added_by: str, now: Instant
    ) -> list[AddResult]:
        """Add the documents that are not covered yet, under locks, so that concurrent requests add nothing twice."""
        customers = {document.customer for document in documents if document.customer is not None}
        known = await store.lock_states(tx, customers)
        before = dict(known)
        hashes = [digest for document in documents for digest in self.address_hashes(document)]
        if hashes:
            await entry_store.lock_address_entries(tx)
        live_entries = await entry_store.list_address_entries(tx, hashes)
        added: list[AddResult] = []
        new: list[NewEntry] = []
        for document in documents:
            entry_id = self._add_if_new(document, new_entry_id(now), known, live_entries)
            if entry_id is not None:
                new.append(self._new_entry(document, entry_id, added_by))
            added.append(AddResult("exists" if entry_id is None else "added", entry_id, self.attempt_scopes(document)))
        await store.save_states(tx, (state for name, state in known.items() if state is not before[name]))
        await entry_store.insert_entries(tx, new, now)
        return added

    def _add_if_new(
        self,
        document: Suppression,
        entry_id: str,
        known: dict[str, SuppressionState],
        live_entries: dict[str, tuple[SuppressionEntry, ...]],
    ) -> str | None:
        """Add the document's entry to `known` or `live_entries`; None when it is covered already."""
        entry = to_entry(document)
        if document.customer is not None:
            state = states.add_entry(known[document.customer], entry, entry_id)
            if state is known[document.customer]:
                return None
            known[document.customer] = state
            return entry_id
        hashes = self.address_hashes(document)
        if all(any(is_covered_by(entry, existing) for existing in live_entries.get(digest, ())) for digest in hashes):
            return None
        live_entries.update((digest, (*live_entries.get(digest, ()), entry)) for digest in hashes)
        return entry_id

    def _new_entry(self, document: Suppression, entry_id: str, added_by: str) -> NewEntry:
        return NewEntry(
            id=entry_id,
            customer=document.customer,
            masked=None if document.address is None else mask_address(document.address),
            hashes=self.address_hashes(document),
            entry=to_entry(document),
            source=document.source,
            added_by=added_by,
        )

    async def remove_entry(self, tx: Tx, entry_id: str, removed_by: str, reason: str, now: Instant) -> bool:
        """Remove an entry, from the customer's state too; False when none of that id is live."""
        record = await entry_store.get_entry(tx, entry_id)
        if record is None:
            return False
        if record.customer is not None:
            known = await store.lock_states(tx, [record.customer])
            state = states.remove_entry(known[record.customer], entry_id)
            if state is not None:
                await store.save_states(tx, [state])
        return await entry_store.mark_removed(tx, entry_id, removed_by, reason, now)
