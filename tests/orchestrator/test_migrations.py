"""Databases of earlier versions are converted in place, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from services.kit.db.database import Database, Tx
from services.kit.db.migrate import is_up_to_date, latest_revision, upgrade_schema

pytestmark = pytest.mark.wired

PACKAGE = "services.orchestrator"
MAYBE_SENT_DETAIL = "an earlier attempt may have arrived"

MESSAGES: dict[str, tuple[str, str | None, int | None, int]] = {
    "planned": ("planned", None, None, 0),
    "parked": ("parked", None, None, 0),
    "pending": ("pending", None, None, 0),
    "pending-maybe": ("pending", MAYBE_SENT_DETAIL, 101, 1),
    "handing-over": ("handing_over", None, 102, 0),
    "handing-over-maybe": ("handing_over", MAYBE_SENT_DETAIL, 103, 1),
    "retry": ("retry", "status 503", 104, 0),
    "retry-maybe": ("retry", MAYBE_SENT_DETAIL, 105, 1),
    "accepted": ("accepted", "status 200", 106, 0),
    "rejected": ("rejected", "status 400", 107, 0),
    "unknown": ("unknown", "TimeoutError", 108, 0),
    "suppressed": ("suppressed", "opted_out_all", None, 0),
    "failed": ("failed", "render_error", None, 0),
}
"""Message id -> state, detail, time of the last claim, and whether it may have been sent already."""


async def downgrade_to_0009(tx: Tx) -> None:
    """Give the tables the form that they had at revision 0009."""
    for table in ("redrive_item", "redrive_job", "seen_name"):
        await tx.execute(f"DROP TABLE {table}")
    await tx.execute("ALTER TABLE message DROP COLUMN maybe_sent")
    for table in ("message", "attempt"):
        await tx.execute(f"ALTER TABLE {table} RENAME COLUMN claimed_at TO marked_at")
    await tx.execute("UPDATE schema_version SET version_num = '0009'")


async def insert_old_rows(tx: Tx) -> None:
    for message_id, (state, detail, marked_at, maybe_sent) in MESSAGES.items():
        attempts = 0 if marked_at is None else 1 + maybe_sent
        await tx.execute(
            "INSERT INTO message (message_id, customer, campaign, version, policy_version, channel, cls, priority, "
            "event_source, event_id, state, expires_at, attempts, owner, marked_at, opened, detail, created, updated) "
            "VALUES (:id, 'c', 'news', 1, 1, 'push', 'marketing', 50, '/shop', :id, :state, 999, :attempts, 'me', "
            ":marked_at, :marked_at, :detail, 1, 2)",
            id=message_id,
            state=state,
            attempts=attempts,
            marked_at=marked_at,
            detail=detail,
        )
        if maybe_sent:
            await tx.execute(
                "INSERT INTO attempt (message_id, customer, number, owner, marked_at, opened, outcome, detail, "
                "closed_at) VALUES (:id, 'c', 1, 'me', 7, 8, 'unknown', NULL, 9)",
                id=message_id,
            )


async def read_rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    async with database.read() as tx:
        return [tuple(row) for row in await tx.rows(sql)]


async def test_a_database_of_the_version_before_keeps_what_it_knows_of_messages(database_url: str) -> None:
    await upgrade_schema(database_url, PACKAGE)
    database = Database.open(database_url, pool=1)
    try:
        async with database.write() as tx:
            await downgrade_to_0009(tx)
        async with database.write() as tx:
            await insert_old_rows(tx)
        assert not await is_up_to_date(database_url, PACKAGE)
    finally:
        await database.close()
    await upgrade_schema(database_url, PACKAGE)
    assert await is_up_to_date(database_url, PACKAGE)
    database = Database.open(database_url, pool=1)
    try:
        found = await read_rows(database, "SELECT message_id, state, detail, claimed_at, maybe_sent FROM message")
        assert {row[0]: row[1:] for row in found} == MESSAGES
        attempts = await read_rows(database, "SELECT message_id, claimed_at, opened, closed_at FROM attempt")
        assert sorted(attempts) == [(name, 7, 8, 9) for name, row in sorted(MESSAGES.items()) if row[3]]
    finally:
        await database.close()


async def test_a_new_database_has_the_columns_and_no_message_was_maybe_sent(database_url: str) -> None:
    await upgrade_schema(database_url, PACKAGE)
    assert latest_revision(PACKAGE) >= "0010"
    database = Database.open(database_url, pool=1)
    try:
        async with database.write() as tx:
            await tx.execute(
                "INSERT INTO message (message_id, customer, campaign, version, policy_version, channel, cls, priority, "
                "event_source, event_id, state, expires_at, attempts, claimed_at, created, updated) VALUES "
                "('m', 'c', 'news', 1, 1, 'push', 'marketing', 50, '/shop', 'e', 'pending', 9, 0, NULL, 1, 1)"
            )
        assert await read_rows(database, "SELECT maybe_sent, claimed_at FROM message") == [(0, None)]
    finally:
        await database.close()
