"""Adding entries: one or thousands, each told what became of it. No plain address goes further than this file."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.facts import AttemptScope, Entry
from schemas.ids import address_hash
from schemas.suppression import Suppression
from schemas.times import Instant
from services.kit.db.database import Tx
from services.suppression import customer_state as states
from services.suppression.customer_state import State, address_names, entry_of, says_no_more
from services.suppression.store import entry_store
from services.suppression.store import state_store as store
from services.suppression.store.entry_store import NewEntry


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a document: `exists` when an entry that says the same stands at least as long."""

    status: Literal["added", "exists"]
    id: str | None
    scopes: tuple[AttemptScope, ...]


def new_id(at: Instant) -> str:
    """An id for an entry: later ones sort after earlier ones."""
    return f"sup_{max(at, 0):014x}{secrets.token_hex(8)}"


def masked(address: str) -> str:
    """An address as people may see it: `a***@example.org`, `***67`."""
    local, at, domain = address.strip().rpartition("@")
    return f"{local[:1]}***@{domain}" if at else f"***{address.strip()[-2:]}"


class Desk:
    """Adds and removes entries. `address_key` hashes addresses."""

    def __init__(self, address_key: bytes) -> None:
        self._key = address_key

    def hashes(self, document: Suppression) -> tuple[str, ...]:
        """The keyed hashes of a document's address: one, or one a channel when it names none."""
        return address_names(document, self.hash)

    def hash(self, channel: str, address: str) -> str:
        """The keyed hash under which an address is known."""
        return address_hash(self._key, channel, address)

    def scopes(self, document: Suppression) -> tuple[AttemptScope, ...]:
        """The attempts that a document concerns."""
        entry = entry_of(document)
        channels = None if entry.channel is None else (entry.channel,)
        topics = None if entry.topic is None else (entry.topic,)
        if document.customer is not None:
            return (AttemptScope(document.customer, channels, topics, entry.classes),)
        return tuple(
            AttemptScope(None, channels, topics, entry.classes, address=digest) for digest in self.hashes(document)
        )

    async def add(self, tx: Tx, documents: Sequence[Suppression], added_by: str, now: Instant) -> list[Added]:
        """Add what is new, under locks, so that nothing is added twice."""
        customers = {document.customer for document in documents if document.customer is not None}
        known = await store.locked_states(tx, customers)
        before = dict(known)
        hashes = [digest for document in documents for digest in self.hashes(document)]
        if hashes:
            await entry_store.lock_addresses(tx)
        live = await entry_store.of_addresses(tx, hashes)
        added: list[Added] = []
        new: list[NewEntry] = []
        for document in documents:
            entry_id = self._take(document, new_id(now), known, live)
            if entry_id is not None:
                new.append(self._record(document, entry_id, added_by))
            added.append(Added("exists" if entry_id is None else "added", entry_id, self.scopes(document)))
        await store.write_states(tx, (state for name, state in known.items() if state is not before[name]))
        await entry_store.add(tx, new, now)
        return added

    def _take(
        self, document: Suppression, entry_id: str, known: dict[str, State], live: dict[str, tuple[Entry, ...]]
    ) -> str | None:
        """Put the document's entry into `known` or `live`; None when it is there already."""
        entry = entry_of(document)
        if document.customer is not None:
            state = states.add_entry(known[document.customer], entry, entry_id)
            if state is known[document.customer]:
                return None
            known[document.customer] = state
            return entry_id
        hashes = self.hashes(document)
        if all(any(says_no_more(entry, there) for there in live.get(digest, ())) for digest in hashes):
            return None
        live.update((digest, (*live.get(digest, ()), entry)) for digest in hashes)
        return entry_id

    def _record(self, document: Suppression, entry_id: str, added_by: str) -> NewEntry:
        return NewEntry(
            id=entry_id,
            customer=document.customer,
            masked=None if document.address is None else masked(document.address),
            hashes=self.hashes(document),
            entry=entry_of(document),
            source=document.source,
            added_by=added_by,
        )

    async def remove(self, tx: Tx, entry_id: str, removed_by: str, reason: str, now: Instant) -> bool:
        """Remove an entry, from the customer's state too; False when none of that id is live."""
        record = await entry_store.one(tx, entry_id)
        if record is None:
            return False
        if record.customer is not None:
            known = await store.locked_states(tx, [record.customer])
            state = states.remove_entry(known[record.customer], entry_id)
            if state is not None:
                await store.write_states(tx, [state])
        return await entry_store.remove(tx, entry_id, removed_by, reason, now)
