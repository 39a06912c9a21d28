"""Counts soft bounces of an address: at the limit it gets a do-not-contact entry that expires.

The count is derived from the receipts that are kept, under the lock of the customer's ledger, so neither their order
nor their repetition matters: the messages to the address that have bounced softly within the window, and after which
nothing to it is known to have arrived. Addresses are told apart by their keyed hashes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row

from schemas.receipt import ARRIVAL_KINDS, Receipt
from schemas.times import DAY, Instant
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Tx
from services.orchestrator.bounce_settings import BounceSettings
from services.orchestrator.delivery.receipts import store

SOFT: Final = "r.kind = 'bounced' AND r.permanent = 0"
_ARRIVED: Final = f"r.kind IN ({', '.join(map(repr, sorted(ARRIVAL_KINDS)))})"


class _AddressKey(NamedTuple):
    customer: str
    channel: str
    hash: str


class SoftBounceCounter:
    """Says after which receipts an address rests, and after which it no longer does."""

    def __init__(self, settings: BounceSettings) -> None:
        self._settings = settings

    async def count(self, tx: Tx, receipts: Sequence[Receipt], messages: Mapping[str, Row[Any]], now: Instant) -> None:
        """Note with new receipts what follows from their number; the ledgers of their customers are locked."""
        if not self._settings.limit:
            return
        bounced, arrived = _latest_by_address(receipts, messages, soft=True), _latest_by_address(receipts, messages)
        customers = {key.customer for key in (*bounced, *arrived)}
        within, limit = self._settings.within_days * DAY, self._settings.limit
        # What made the address rest may have bounced as long ago as it rests, and what was counted then before that.
        since = now - within - (self._settings.rest_days * DAY if arrived else 0)
        for key, bounces in (await _list_bouncing(tx, customers, since)).items():
            if len(bounces) < limit:
                continue  # nothing has rested, and nothing needs to
            last = await _last_arrival(tx, key)
            later = sorted(at for at in bounces.values() if at > last)
            if sum(at > now - within for at in later) >= limit:
                if key in bounced:
                    await store.note_consequence(tx, bounced[key].key, SuppressionReason.SOFT_BOUNCES)
            elif key in arrived and not _has_run(later, limit, within):
                await store.note_consequence(tx, arrived[key].key, store.LIFTS)

    def rests_until(self, at: Instant) -> Instant:
        """When messages go to the address again, if the last of its messages has bounced at `at`."""
        return at + self._settings.rest_days * DAY


def _has_run(instants: Sequence[Instant], limit: int, within: int) -> bool:
    """Whether so many of these instants, which are in order, lie within so long a time."""
    return any(end - begin < within for begin, end in zip(instants, instants[limit - 1 :], strict=False))


def _latest_by_address(
    receipts: Sequence[Receipt], messages: Mapping[str, Row[Any]], *, soft: bool = False
) -> dict[_AddressKey, Receipt]:
    """By address: the latest of these that says that something has arrived, or of the soft bounces."""
    found: dict[_AddressKey, Receipt] = {}
    for each in receipts:
        is_meant = each.kind == "bounced" and not each.permanent if soft else each.kind in ARRIVAL_KINDS
        if is_meant and (key := _key_of(messages[each.message_id])) is not None:
            found[key] = max(found.get(key, each), each, key=lambda receipt: receipt.at)
    return found


def _key_of(message: Row[Any]) -> _AddressKey | None:
    return _AddressKey(message.customer, message.channel, message.address_hash) if message.address_hash else None


async def _list_bouncing(tx: Tx, customers: set[str], since: Instant) -> dict[_AddressKey, dict[str, Instant]]:
    """By address: the messages that have bounced softly since then, and when each did so last."""
    if not customers:
        return {}
    rows = await tx.rows(
        "SELECT m.customer, m.channel, m.address_hash, r.message_id, max(r.at) AS at "
        "FROM receipt r JOIN message m ON m.message_id = r.message_id "
        f"WHERE {SOFT} AND r.at > :since AND {tx.in_list('r.customer', 'customers')} "
        "GROUP BY m.customer, m.channel, m.address_hash, r.message_id",
        since=since,
        customers=tx.list_parameter(sorted(customers)),
    )
    found: dict[_AddressKey, dict[str, Instant]] = {}
    for row in rows:
        if (key := _key_of(row)) is not None:
            found.setdefault(key, {})[row.message_id] = row.at
    return found


async def _last_arrival(tx: Tx, key: _AddressKey) -> Instant:
    """When something is known to have arrived at the address last; 0 if nothing is."""
    row = await tx.row(
        "SELECT max(r.at) AS at FROM receipt r JOIN message m ON m.message_id = r.message_id "
        f"WHERE r.customer = :customer AND {_ARRIVED} AND m.channel = :channel AND m.address_hash = :hash",
        customer=key.customer,
        channel=key.channel,
        hash=key.hash,
    )
    return 0 if row is None or row.at is None else int(row.at)
