"""SQL of the addresses that are to be verified by a message. The caller owns the transaction, and holds the lock of the
customer's state where it decides by what it reads. A row names an address by its opaque id.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from schemas.times import DAY, Instant
from services.kit.db.database import Database, Tx

VALID_FOR: Final = DAY
"""How long a link or a code works."""
MAX_ATTEMPTS: Final = 5
"""So many codes may be wrong; then a new message is needed."""
KEPT_FOR: Final = 30 * DAY
"""How long a request is kept after its end; until then its link says why it does nothing any more."""
_DELETED_AT_ONCE: Final = 500
_COLUMNS: Final = "id, customer, address, channel, requested, expires, published, attempts, verified"


class AddressVerification(msgspec.Struct, frozen=True):
    """A request to verify an address. `address`: its id; `attempts`: codes that were tried and wrong; `verified`: None
    while nobody has; `published`: its event is in the log.
    """

    id: str
    customer: str
    address: str
    channel: str
    requested: Instant
    expires: Instant
    published: bool = False
    attempts: int = 0
    verified: Instant | None = None


def _to_verification(row: Row[Any]) -> AddressVerification:
    fields = (row.id, row.customer, row.address, row.channel, row.requested, row.expires)
    return AddressVerification(*fields, bool(row.published), row.attempts, row.verified)


async def insert_verification(tx: Tx, asked: AddressVerification) -> None:
    """Keep a new request. Those before it for the same address end."""
    await tx.execute(
        "UPDATE address_verification SET expires = :now "
        "WHERE customer = :customer AND address = :address AND expires > :now AND verified IS NULL",
        customer=asked.customer,
        address=asked.address,
        now=asked.requested,
    )
    await tx.execute(
        f"INSERT INTO address_verification ({_COLUMNS}) "
        "VALUES (:id, :customer, :address, :channel, :requested, :expires, 0, 0, NULL)",
        id=asked.id,
        customer=asked.customer,
        address=asked.address,
        channel=asked.channel,
        requested=asked.requested,
        expires=asked.expires,
    )


async def find_newest(tx: Tx, customer: str, address: str) -> AddressVerification | None:
    """The last request for this address."""
    row = await tx.row(
        f"SELECT {_COLUMNS} FROM address_verification WHERE customer = :customer AND address = :address "
        "ORDER BY requested DESC, expires DESC LIMIT 1",
        customer=customer,
        address=address,
    )
    return None if row is None else _to_verification(row)


async def get_verification(tx: Tx, id: str, customer: str) -> AddressVerification | None:
    """The request of this customer with this id."""
    row = await tx.row(
        f"SELECT {_COLUMNS} FROM address_verification WHERE id = :id AND customer = :customer", id=id, customer=customer
    )
    return None if row is None else _to_verification(row)


async def list_waiting(tx: Tx, customer: str, now: Instant) -> dict[str, AddressVerification]:
    """The requests of a customer that can still be answered, by the id of their address."""
    rows = await tx.rows(
        f"SELECT {_COLUMNS} FROM address_verification WHERE customer = :customer AND expires > :now "
        "AND verified IS NULL AND attempts < :most ORDER BY requested",
        customer=customer,
        most=MAX_ATTEMPTS,
        now=now,
    )
    return {row.address: _to_verification(row) for row in rows}


async def count_since(tx: Tx, customer: str, since: Instant) -> int:
    """How many requests the customer has had since an instant."""
    row = await tx.row(
        "SELECT count(*) AS requests FROM address_verification WHERE customer = :customer AND requested > :since",
        customer=customer,
        since=since,
    )
    return 0 if row is None else int(row.requests)


async def count_attempt(tx: Tx, id: str) -> None:
    """Note that a wrong code was tried."""
    await tx.execute("UPDATE address_verification SET attempts = attempts + 1 WHERE id = :id", id=id)


async def mark_verified(tx: Tx, id: str, at: Instant) -> None:
    """Note that the address of the request is verified."""
    await tx.execute("UPDATE address_verification SET verified = :at WHERE id = :id", at=at, id=id)


async def list_unpublished(tx: Tx, limit: int) -> list[AddressVerification]:
    """Requests whose events are not known to be in the log, the oldest first."""
    rows = await tx.rows(
        f"SELECT {_COLUMNS} FROM address_verification WHERE published = 0 ORDER BY requested LIMIT :limit", limit=limit
    )
    return [_to_verification(row) for row in rows]


async def mark_published(tx: Tx, ids: Sequence[str]) -> None:
    """Note that the events of these requests are in the log."""
    await tx.execute(
        f"UPDATE address_verification SET published = 1 WHERE {tx.in_list('id', 'ids')}",
        ids=tx.list_parameter(list(ids)),
    )


async def delete_old_verifications(database: Database, now: Instant) -> None:
    """Delete requests whose time has been over for KEPT_FOR, in transactions of bounded size."""
    while True:
        async with database.write() as tx:
            deleted = await tx.execute(
                "DELETE FROM address_verification WHERE id IN (SELECT id FROM address_verification "
                "WHERE expires < :before ORDER BY expires LIMIT :limit)",
                before=now - KEPT_FOR,
                limit=_DELETED_AT_ONCE,
            )
        if deleted < _DELETED_AT_ONCE:
            return
