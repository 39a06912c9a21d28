"""Adds and removes do-not-contact entries, singly or by the thousand, and reports the result of each.

Plain addresses are hashed and masked here; no plain address is stored or logged.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_by_channel, create_address_hasher, other_spellings
from schemas.documents import DocumentError
from schemas.facts import SuppressionEntry
from schemas.service_api import AddressLift, AttemptScope, LiftEntriesRequest
from schemas.suppression import Suppression
from schemas.times import Instant
from schemas.vocabulary import CHANNELS, SuppressionReason
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Tx
from services.suppression import suppression_state as states
from services.suppression.store import entry_store
from services.suppression.store import state_store as store
from services.suppression.store.entry_store import NewEntry
from services.suppression.suppression_errors import ErasedEntryKept
from services.suppression.suppression_state import SuppressionState, is_covered_by, suppressed_addresses, to_entry


@dataclass(frozen=True, slots=True)
class HashedSuppression:
    """A document, and the keyed hashes of its address: one per channel when it names no channel."""

    document: Suppression
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddResult:
    """The result of adding a document: `exists` when an equal entry is valid at least as long, `erased` when it names
    an erased customer: then nothing is added.
    """

    status: Literal["added", "exists", "erased"]
    id: str | None
    scopes: tuple[AttemptScope, ...]


def named_customers(documents: Sequence[HashedSuppression]) -> set[str]:
    """The customers whom the documents name."""
    return {each.document.customer for each in documents if each.document.customer is not None}


def new_entry_id(at: Instant) -> str:
    """An id for an entry; ids sort by time."""
    return f"sup_{max(at, 0):014x}{secrets.token_hex(8)}"


def mask_address(address: str) -> str:
    """An address as people may see it: `a***@example.org`, `***67`."""
    local, at, domain = address.strip().rpartition("@")
    return f"{local[:1]}***@{domain}" if at else f"***{address.strip()[-2:]}"


class SuppressionList:
    """Adds and removes entries. `address_key` hashes addresses; `region` is the organisation's country."""

    def __init__(self, address_key: bytes, region: str | None) -> None:
        self.erased = ErasedCustomers(address_key)
        self._hash = create_address_hasher(address_key)
        self._region = region

    def hash_document(self, document: Suppression) -> HashedSuppression:
        """The document with the hashes of its address. Raises DocumentError for what is no address."""
        addresses = suppressed_addresses(document, self._region)
        return HashedSuppression(document, tuple(self._hash(channel, form) for channel, form in addresses.items()))

    def lookup_hashes(self, channel: str | None, text: str) -> list[str]:
        """The hashes under which there may be entries of an address: also those of earlier versions, as it is spelt."""
        found = [self._hash(each, text) for each in (CHANNELS if channel is None else [channel])]
        try:
            addresses = canonical_by_channel(channel, text, self._region)
        except BadAddress:
            return found
        for each, canonical in addresses.items():
            found.append(self._hash(each, canonical))
            found += [self._hash(each, other) for other in other_spellings(each, text, canonical, self._region)]
        return found

    def refuse_bad_address(self, channel: str | None, text: str) -> None:
        """Raise DocumentError for a text that is no address."""
        try:
            canonical_by_channel(channel, text, self._region)
        except BadAddress as error:
            raise DocumentError([("/address", error.code, str(error))]) from None

    def attempt_scopes(self, hashed: HashedSuppression) -> tuple[AttemptScope, ...]:
        """The attempts that a document concerns."""
        document, entry = hashed.document, to_entry(hashed.document)
        channels = None if entry.channel is None else (entry.channel,)
        topics = None if entry.topic is None else (entry.topic,)
        if document.customer is not None:
            return (AttemptScope(document.customer, channels, topics, entry.classes),)
        return tuple(AttemptScope(None, channels, topics, entry.classes, address=digest) for digest in hashed.hashes)

    async def add_documents(
        self, tx: Tx, documents: Sequence[HashedSuppression], added_by: str, now: Instant
    ) -> list[AddResult]:
        """Add the documents that are not covered yet, under locks, so that concurrent requests add nothing twice."""
        customers = named_customers(documents)
        known = await store.lock_states(tx, customers, self.erased)
        before = dict(known)
        hashes = [digest for each in documents for digest in each.hashes]
        if hashes:
            await entry_store.lock_address_entries(tx)
        live_entries = await entry_store.list_address_entries(tx, hashes)
        added, new = self.sort_out(documents, known, live_entries, added_by, now)
        await store.save_states(tx, (state for name, state in known.items() if state is not before[name]))
        await entry_store.insert_entries(tx, new, now)
        return added

    def sort_out(
        self,
        documents: Sequence[HashedSuppression],
        known: dict[str, SuppressionState],
        live_entries: dict[str, tuple[SuppressionEntry, ...]],
        added_by: str,
        now: Instant,
    ) -> tuple[list[AddResult], list[NewEntry]]:
        """What becomes of each document, and the entries that are new: these are added to `known` and `live_entries`.

        `known`: the states of the customers whom the documents name, the erased ones apart.
        """
        added: list[AddResult] = []
        new: list[NewEntry] = []
        for each in documents:
            if each.document.customer is not None and each.document.customer not in known:
                added.append(AddResult("erased", None, ()))
                continue
            entry_id = self._add_if_new(each, new_entry_id(now), known, live_entries)
            if entry_id is not None:
                new.append(self._new_entry(each, entry_id, added_by))
            added.append(AddResult("exists" if entry_id is None else "added", entry_id, self.attempt_scopes(each)))
        return added, new

    def _add_if_new(
        self,
        hashed: HashedSuppression,
        entry_id: str,
        known: dict[str, SuppressionState],
        live_entries: dict[str, tuple[SuppressionEntry, ...]],
    ) -> str | None:
        """Add the document's entry to `known` or `live_entries`; None when it is covered already."""
        document, hashes = hashed.document, hashed.hashes
        entry = to_entry(document)
        if document.customer is not None:
            state = states.add_entry(known[document.customer], entry, entry_id)
            if state is known[document.customer]:
                return None
            known[document.customer] = state
            return entry_id
        if all(any(is_covered_by(entry, existing) for existing in live_entries.get(digest, ())) for digest in hashes):
            return None
        live_entries.update((digest, (*live_entries.get(digest, ()), entry)) for digest in hashes)
        return entry_id

    def _new_entry(self, hashed: HashedSuppression, entry_id: str, added_by: str) -> NewEntry:
        document = hashed.document
        return NewEntry(
            id=entry_id,
            customer=document.customer,
            masked=None if document.address is None else mask_address(document.address),
            hashes=hashed.hashes,
            entry=to_entry(document),
            source=document.source,
            note=document.note,
            added_by=added_by,
        )

    async def lift_entries(self, tx: Tx, lift: AddressLift, request: LiftEntriesRequest, now: Instant) -> None:
        """Remove the entries of an address, on the channel of the lift, that the request means."""
        hashes = self.lookup_hashes(lift.channel, lift.address)
        why = "decided by a person" if request.only_then else "the customer wants messages again"
        await entry_store.lock_address_entries(tx)
        for entry_id in await entry_store.list_lifted(tx, hashes, lift.channel, lift.at, request):
            await self.remove_entry(tx, entry_id, request.added_by, why, now)

    async def remove_entry(self, tx: Tx, entry_id: str, removed_by: str, reason: str | None, now: Instant) -> bool:
        """Remove an entry, from the customer's state too; False when none of that id is live.

        Raises ErasedEntryKept for one that cannot be removed.
        """
        record = await entry_store.get_entry(tx, entry_id)
        if record is None:
            return False
        if record.reason == SuppressionReason.ERASED:
            raise ErasedEntryKept
        if record.customer is not None:
            known = await store.lock_states(tx, [record.customer], self.erased)
            before = known.get(record.customer)
            state = None if before is None else states.remove_entry(before, entry_id)
            if state is not None:
                await store.save_states(tx, [state])
        return await entry_store.mark_removed(tx, entry_id, removed_by, reason, now)
