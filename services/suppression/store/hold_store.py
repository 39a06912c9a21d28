"""SQL of holds, present and past, and of the alerts that placed them.

A hold stands while `ended_at` is NULL and its `until` has not passed; at most one per key stands (unique index).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.facts import HoldFact
from schemas.service_api import DEFAULT_RELEASE_RATE, HoldEnd, HoldRecord
from schemas.times import DAY, MINUTE, Instant
from services.kit.db.database import Tx
from services.suppression.alert_holds import AlertHistory

EXPIRY_GRACE = 10 * MINUTE
"""An expired hold is still returned for this long: the caller's clock may be behind ours."""

ALERT_RETENTION = 90 * DAY
"""How long the history of an alert is kept after its last notification."""

_HOLD_COLUMNS = """
    seq, key, mode, start, until, document, placed_by, placed_at, ended_at, lifted_by, lift_reason, release_rate
"""
_decode_hold = msgspec.msgpack.Decoder(HoldFact).decode


async def list_current_holds(tx: Tx, now: Instant) -> tuple[HoldFact, ...]:
    """Holds in force or to come, by key."""
    sql = "SELECT fact FROM hold WHERE ended_at IS NULL AND (until IS NULL OR until > :since) ORDER BY key"
    return tuple(_decode_hold(row.fact) for row in await tx.rows(sql, since=now - EXPIRY_GRACE))


async def place_hold(tx: Tx, fact: HoldFact, document: str, placed_by: str, now: Instant) -> int | None:
    """Place the hold; its `seq`, or None when one with this key is in force or to come."""
    await tx.execute(
        "UPDATE hold SET ended_at = until WHERE key = :key AND ended_at IS NULL AND until <= :now",
        key=fact.key,
        now=now,
    )
    sql = """
        INSERT INTO hold (key, mode, start, until, fact, document, placed_by, placed_at)
        VALUES (:key, :mode, :start, :until, :fact, :document, :placed_by, :now)
        ON CONFLICT DO NOTHING RETURNING seq
    """
    row = await tx.row(
        sql,
        key=fact.key,
        mode=fact.mode,
        start=fact.start,
        until=fact.until,
        fact=msgspec.msgpack.encode(fact),
        document=document,
        placed_by=placed_by,
        now=now,
    )
    return None if row is None else int(row.seq)


async def lift_hold(
    tx: Tx, key: str, lifted_by: str, reason: str | None, now: Instant, rate: int = DEFAULT_RELEASE_RATE
) -> bool:
    """End the hold that stands under this key; False when none does. `rate`: messages per second of its release."""
    sql = """
        UPDATE hold SET ended_at = :now, lifted_by = :lifted_by, lift_reason = :reason, release_rate = :rate
        WHERE key = :key AND ended_at IS NULL AND (until IS NULL OR until > :now)
    """
    return await tx.execute(sql, key=key, lifted_by=lifted_by, reason=reason, now=now, rate=rate) > 0


async def list_hold_ends(tx: Tx, keys: Sequence[str], at: Instant) -> list[HoldEnd]:
    """How the hold that ended last under each of these keys ended; one that never ended is absent."""
    sql = f"""
        SELECT key, lifted_by, release_rate FROM hold WHERE seq IN (
            SELECT max(seq) FROM hold WHERE key IN ({tx.unnest("keys")}) AND (lifted_by IS NOT NULL OR until <= :at)
            GROUP BY key
        )
    """
    rows = await tx.rows(sql, keys=tx.list_parameter(keys), at=at)
    return [HoldEnd(row.key, row.lifted_by is not None, row.release_rate or DEFAULT_RELEASE_RATE) for row in rows]


async def get_newest_hold(tx: Tx, key: str) -> Row[Any] | None:
    """The hold placed last under this key."""
    return await tx.row(f"SELECT {_HOLD_COLUMNS} FROM hold WHERE key = :key ORDER BY seq DESC LIMIT 1", key=key)


async def list_holds(
    tx: Tx, before: int, limit: int, *, key: str | None = None, standing_at: Instant | None = None
) -> Sequence[Row[Any]]:
    """Holds placed before `seq` `before`, newest first; of one key; only those in force or to come at an instant."""
    where, params = ["seq < :before"], {"before": before, "limit": limit, "key": key, "now": standing_at}
    if key is None:
        params.pop("key")
    else:
        where.append("key = :key")
    if standing_at is None:
        params.pop("now")
    else:
        where.append("ended_at IS NULL AND (until IS NULL OR until > :now)")
    return await tx.rows(
        f"SELECT {_HOLD_COLUMNS} FROM hold WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT :limit", **params
    )


async def list_hold_records(tx: Tx, key: str | None, limit: int, now: Instant) -> list[HoldRecord]:
    """The holds placed last, newest first, with what became of each; with a key, only those under it."""
    rows = await tx.rows(
        f"SELECT {_HOLD_COLUMNS}, fact FROM hold {'' if key is None else 'WHERE key = :key'} "
        "ORDER BY seq DESC LIMIT :limit",
        limit=limit,
        **({} if key is None else {"key": key}),
    )
    return [
        HoldRecord(
            _decode_hold(row.fact),
            row.placed_at,
            hold_state(row, now),
            row.ended_at if row.lifted_by is not None else None,
            row.lifted_by,
            row.lift_reason,
            row.release_rate,
        )
        for row in rows
    ]


def hold_state(row: Row[Any], now: Instant) -> str:
    """The state of a hold's row: scheduled, active, ended (expired) or lifted."""
    if row.lifted_by is not None:
        return "lifted"
    if row.until is not None and row.until <= now:
        return "ended"
    return "active" if row.start <= now else "scheduled"


async def count_by_mode(tx: Tx, now: Instant) -> dict[str, int]:
    """How many holds are in force, by mode."""
    sql = """
        SELECT mode, count(*) AS holds FROM hold
        WHERE ended_at IS NULL AND start <= :now AND (until IS NULL OR until > :now) GROUP BY mode
    """
    return {row.mode: int(row.holds) for row in await tx.rows(sql, now=now)}


async def lock_alert(tx: Tx, fingerprint: str, now: Instant) -> AlertHistory:
    """The history of an alert, its row locked until the transaction ends."""
    sql = "INSERT INTO alert (fingerprint, told) VALUES (:fingerprint, :now) ON CONFLICT (fingerprint) DO NOTHING"
    await tx.execute(sql, fingerprint=fingerprint, now=now)
    row = await tx.row(
        f"SELECT started, ended FROM alert WHERE fingerprint = :fingerprint {tx.for_update}", fingerprint=fingerprint
    )
    return AlertHistory() if row is None else AlertHistory(row.started, row.ended)


async def save_alert(tx: Tx, fingerprint: str, history: AlertHistory, now: Instant) -> None:
    """Store the history of an alert. Requires `lock_alert`."""
    await tx.execute(
        "UPDATE alert SET started = :started, ended = :ended, told = :now WHERE fingerprint = :fingerprint",
        started=history.started,
        ended=history.ended,
        now=now,
        fingerprint=fingerprint,
    )


async def delete_old_alerts(tx: Tx, now: Instant) -> None:
    """Delete the histories of alerts without a notification for ALERT_RETENTION."""
    await tx.execute("DELETE FROM alert WHERE told < :before", before=now - ALERT_RETENTION)
