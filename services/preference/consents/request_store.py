"""SQL of the consents that were asked for. The caller owns the transaction, and holds the lock of the customer's state
where it decides by what it reads.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from schemas.facts import ConsentEvidence
from schemas.times import DAY, Instant
from services.kit.db.database import Database, Tx

VALID_FOR: Final = 7 * DAY
"""How long a link to confirm works."""
KEPT_FOR: Final = 30 * DAY
"""How long a request is kept after its end; until then its link says why it does nothing any more. What was confirmed
stands in the customer's consents.
"""
MAX_SHOWN: Final = 100
_DELETED_AT_ONCE: Final = 500
_COLUMNS: Final = "id, customer, channel, topic, requested, expires, published, confirmed, body"


class RequestProof(msgspec.Struct, frozen=True):
    """What was told when the consent was asked for: on which words, where, by whom, and with which evidence."""

    wording: str
    source: str
    requested_by: str | None = None
    evidence: ConsentEvidence | None = None


class ConsentRequest(msgspec.Struct, frozen=True):
    """A consent that was asked for. `confirmed`: None while nobody has; `published`: its event is in the log."""

    id: str
    customer: str
    channel: str
    topic: str
    requested: Instant
    expires: Instant
    proof: RequestProof
    published: bool = False
    confirmed: Instant | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RequestProof).decode


def read_proof(packed: bytes) -> RequestProof:
    """What the column `body` holds."""
    return _decode(packed)


def _to_request(row: Row[Any]) -> ConsentRequest:
    fields = (row.id, row.customer, row.channel, row.topic, row.requested, row.expires)
    return ConsentRequest(*fields, _decode(row.body), bool(row.published), row.confirmed)


async def insert_request(tx: Tx, request: ConsentRequest) -> None:
    """Keep a new request."""
    await tx.execute(
        f"INSERT INTO consent_request ({_COLUMNS}) "
        "VALUES (:id, :customer, :channel, :topic, :requested, :expires, 0, NULL, :body)",
        id=request.id,
        customer=request.customer,
        channel=request.channel,
        topic=request.topic,
        requested=request.requested,
        expires=request.expires,
        body=_encode(request.proof),
    )


async def find_waiting(tx: Tx, customer: str, channel: str, topic: str, now: Instant) -> ConsentRequest | None:
    """The request for this consent that can still be confirmed."""
    row = await tx.row(
        f"SELECT {_COLUMNS} FROM consent_request WHERE customer = :customer AND channel = :channel AND topic = :topic "
        "AND confirmed IS NULL AND expires > :now ORDER BY requested DESC LIMIT 1",
        customer=customer,
        channel=channel,
        topic=topic,
        now=now,
    )
    return None if row is None else _to_request(row)


async def get_request(tx: Tx, id: str, customer: str) -> ConsentRequest | None:
    """The request of this customer with this id."""
    row = await tx.row(
        f"SELECT {_COLUMNS} FROM consent_request WHERE id = :id AND customer = :customer", id=id, customer=customer
    )
    return None if row is None else _to_request(row)


async def list_requests(tx: Tx, customer: str) -> list[ConsentRequest]:
    """The newest requests of a customer, MAX_SHOWN at most."""
    rows = await tx.rows(
        f"SELECT {_COLUMNS} FROM consent_request WHERE customer = :customer ORDER BY requested DESC, id LIMIT :limit",
        customer=customer,
        limit=MAX_SHOWN,
    )
    return [_to_request(row) for row in rows]


async def list_unpublished(tx: Tx, limit: int) -> list[ConsentRequest]:
    """Requests whose events are not known to be in the log, the oldest first."""
    rows = await tx.rows(
        f"SELECT {_COLUMNS} FROM consent_request WHERE published = 0 ORDER BY requested LIMIT :limit", limit=limit
    )
    return [_to_request(row) for row in rows]


async def mark_published(tx: Tx, ids: Sequence[str]) -> None:
    """Note that the events of these requests are in the log."""
    await tx.execute(
        f"UPDATE consent_request SET published = 1 WHERE {tx.in_list('id', 'ids')}", ids=tx.list_parameter(list(ids))
    )


async def mark_confirmed(tx: Tx, id: str, at: Instant) -> None:
    """Note that the customer has confirmed the request."""
    await tx.execute("UPDATE consent_request SET confirmed = :at WHERE id = :id", at=at, id=id)


async def delete_old_requests(database: Database, now: Instant) -> None:
    """Delete requests whose time has been over for KEPT_FOR, confirmed or not, in transactions of bounded size."""
    while True:
        async with database.write() as tx:
            deleted = await tx.execute(
                "DELETE FROM consent_request WHERE id IN (SELECT id FROM consent_request WHERE expires < :before "
                "ORDER BY expires LIMIT :limit)",
                before=now - KEPT_FOR,
                limit=_DELETED_AT_ONCE,
            )
        if deleted < _DELETED_AT_ONCE:
            return
