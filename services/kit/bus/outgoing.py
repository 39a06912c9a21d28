"""Records that transactions leave for a topic that Tactful publishes: an outbox, from which `topic_publisher.py` reads.

A row of `outgoing` holds all that one transaction says to one topic, in a form of its service's own; so a transaction
pays for one row, however many records it leads to. The row is deleted once its records are in the log. There is no
cursor, hence no row that a cursor could pass over because its transaction commits late.

Order: whoever changes a customer holds a lock on the customer's row when it takes the number `seq`. So what concerns
one customer is numbered, and becomes visible, in the order in which it happened. Whoever leaves something without the
lock says why its order does not matter.

`out_topic` says who may publish to a topic: see `claim_topic`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, Row

from schemas.times import HOUR, SECOND, Instant
from services.kit.db.bytewise_text import Text
from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log

OUTGOING_KEPT: Final = "outgoing_kept"
"""Notified, on SQLite alone, when a transaction has left something for a topic."""
LEASE_DURATION: Final = 10 * SECOND
"""How long a publisher that says nothing keeps its topic."""
LEFT_OVER_AGE: Final = 24 * HOUR
"""How old rows must be to be deleted where nobody publishes them: processes change to other settings one by one."""
DELETED_AT_ONCE: Final = 500
PAGE_SIZE: Final = 100
"""Rows that are read together when all are looked through."""


def _outgoing_columns() -> list[Column[Any]]:
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        Column("topic", Text, nullable=False),
        Column("recorded", BigInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
    ]


def _topic_columns() -> list[Column[Any]]:
    return [
        Column("topic", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("expires", BigInteger, nullable=False),
    ]


def create_outgoing(op: Operations | Any) -> None:
    """Creates the two tables in a migration."""
    op.create_table("outgoing", *_outgoing_columns())
    op.create_table("out_topic", *_topic_columns())


async def keep_outgoing(tx: Tx, topic: str, body: bytes, now: Instant) -> None:
    """Leaves a row for the topic. The locks of the customers whom it concerns must be held where order matters."""
    await tx.execute(
        "INSERT INTO outgoing (topic, recorded, body) VALUES (:topic, :now, :body)", topic=topic, now=now, body=body
    )
    if tx.dialect == "sqlite":  # PostgreSQL would commit all these transactions one after the other
        await tx.notify(OUTGOING_KEPT)


async def list_outgoing(tx: Tx, topic: str, limit: int) -> Sequence[Row[Any]]:
    """The first rows that wait for the topic, in order: `seq`, `recorded`, `body`."""
    return await tx.rows(
        "SELECT seq, recorded, body FROM outgoing WHERE topic = :topic ORDER BY seq LIMIT :limit",
        topic=topic,
        limit=limit,
    )


async def delete_outgoing(tx: Tx, sequence: Collection[int]) -> None:
    """Deletes rows whose records are in the log."""
    await tx.execute(
        f"DELETE FROM outgoing WHERE {tx.in_list('seq', 'seqs', 'bigint')}", seqs=tx.list_parameter(list(sequence))
    )


async def replace_body(tx: Tx, seq: int, body: bytes) -> None:
    """Replaces what a row holds."""
    await tx.execute("UPDATE outgoing SET body = :body WHERE seq = :seq", seq=seq, body=body)


async def lock_outgoing(tx: Tx, concerns: Callable[[Row[Any]], bool], limit: int) -> Sequence[Row[Any]]:
    """The first rows of all topics that concern somebody, `limit` at most, locked: `seq`, `topic`, `body`.

    All rows are read, without locks and with turns for others; only those that are returned are locked, and are as they
    are now: one that was published meanwhile is absent.
    """
    after, found = 0, list[int]()
    while len(found) < limit:
        page = await tx.rows(
            "SELECT seq, topic, body FROM outgoing WHERE seq > :after ORDER BY seq LIMIT :page",
            after=after,
            page=PAGE_SIZE,
        )
        if not page:
            break
        after = page[-1].seq
        for row in page:
            await tx.loop_share.give_turn_if_due()
            if concerns(row):
                found.append(row.seq)
    if not found:
        return ()
    return await tx.rows(
        f"SELECT seq, topic, body FROM outgoing WHERE {tx.in_list('seq', 'seqs', 'bigint')} ORDER BY seq "
        f"{tx.for_update}",
        seqs=tx.list_parameter(found[:limit]),
    )


async def delete_left_over(database: Database, now: Instant) -> None:
    """Deletes what has waited for a day under names that no topic has any more, and says so in the log."""
    names = sorted(database.out_topics.values())
    deleted = Counter[str]()
    while True:
        async with database.write() as tx:
            rows = await tx.tuples(
                "DELETE FROM outgoing WHERE seq IN (SELECT seq FROM outgoing WHERE recorded < :before "
                f"AND NOT ({tx.in_list('topic', 'names')}) ORDER BY seq LIMIT :limit) RETURNING topic",
                before=now - LEFT_OVER_AGE,
                names=tx.list_parameter(names),
                limit=DELETED_AT_ONCE,
            )
        deleted.update(topic for (topic,) in rows)
        if len(rows) < DELETED_AT_ONCE:
            break
    for topic, count in deleted.items():
        log("unpublished_rows_deleted", "warning", topic=topic, count=count)


async def claim_topic(database: Database, topic: str, owner: str) -> bool:
    """Whether the owner may publish to the topic for the next LEASE_DURATION, by the database's clock.

    It divides the work and no more: an owner that wakes up late is kept off by the log itself (`Bus.publisher`).
    """
    async with database.write() as tx:
        now = await tx.now()
        claimed = await tx.row(
            "INSERT INTO out_topic (topic, owner, expires) VALUES (:topic, :owner, :expires) "
            "ON CONFLICT (topic) DO UPDATE SET owner = excluded.owner, expires = excluded.expires "
            "WHERE out_topic.owner = excluded.owner OR out_topic.expires <= :now RETURNING owner",
            topic=topic,
            owner=owner,
            expires=now + LEASE_DURATION,
            now=now,
        )
    return claimed is not None


async def release_topic(database: Database, topic: str, owner: str) -> None:
    """Lets another owner publish to the topic at once."""
    async with database.write() as tx:
        await tx.execute(
            "UPDATE out_topic SET owner = '', expires = 0 WHERE topic = :topic AND owner = :owner",
            topic=topic,
            owner=owner,
        )
