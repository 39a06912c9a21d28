"""SQL of shadows. It reads and writes the two tables of shadows, and reads decisions to name the live ones."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.times import DAY, Instant
from services.kit.db.database import Tx
from services.orchestrator.insight.shadow.observations import Note, Notes, Watched

AGREEMENTS: Final = 20
"""Samples of a shadow that agree, at most."""
OTHERS: Final = 100
"""Samples that do not agree, or that have nothing to agree with, at most of each."""
KEPT_FOR: Final = 30 * DAY
"""How long a sample is kept, whatever becomes of its shadow: it is about a person."""
KEPT_VERSIONS: Final = 5
"""Of one campaign, and of the policy, the newest so many versions that were in shadow can still be read."""

_TEXTS = dict.fromkeys(("campaign", "outcome", "reason", "live"), "text")
_COUNT = {"noun": "text", "key": "text", "version": "int", **_TEXTS, "number": "bigint"}
_SAMPLE = (
    *("noun", "key", "version", "agrees", "time", "customer", "campaign", "channel", "message_id"),
    *("live_outcome", "live_reason", "decision"),
)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Decision)


class Counted(NamedTuple):
    """How often a shadow decided so about a campaign while what is live decided so."""

    campaign: str
    outcome: str
    reason: str
    live: str
    number: int


class Sample(NamedTuple):
    """One note that was kept. `live_id`: the id of the live decision, while that is kept."""

    sample_id: int
    agrees: bool | None
    time: Instant
    customer: str
    campaign: str
    channel: str
    message_id: str
    live_outcome: str | None
    live_reason: str | None
    decision: Decision | None
    live_id: int | None


async def keep(tx: Tx, notes: Notes) -> None:
    """Count the notes in one statement, and keep the newest as samples.

    Rows are locked in one order, so that batches of several processes cannot wait for each other in a circle.
    """
    rows = sorted((*tally.watched, *tally[1:], number) for tally, number in notes.tallies().items())
    if not rows:
        return
    names = ", ".join(_COUNT)
    await tx.execute(
        f"INSERT INTO shadow_count ({names}) SELECT {names} FROM {tx.table_parameter('c', _COUNT)} WHERE true"
        " ON CONFLICT (noun, key, version, campaign, outcome, reason, live)"
        " DO UPDATE SET number = shadow_count.number + excluded.number",
        **tx.bind_table_parameter("c", _COUNT, rows),
    )
    samples = notes.samples()
    if samples:
        await tx.bulk_insert("shadow_sample", _SAMPLE, [_row(note, notes.now) for note in samples])
        await _trim(tx, notes.now)


async def begin(tx: Tx, watched: Watched, now: Instant) -> None:
    """A version goes into shadow: forget an earlier time of its, and all but the newest others of its kind."""
    others = await tx.rows(
        "SELECT DISTINCT version FROM shadow_count WHERE noun = :noun AND key = :key AND version <> :version"
        f" ORDER BY version DESC LIMIT {KEPT_VERSIONS - 1}",
        **watched._asdict(),
    )
    kept = tx.list_parameter([row.version for row in others])
    for table in ("shadow_count", "shadow_sample"):
        await tx.execute(
            f"DELETE FROM {table} WHERE noun = :noun AND key = :key AND version NOT IN ({tx.unnest('kept', 'int')})",
            noun=watched.noun,
            key=watched.key,
            kept=kept,
        )
    await _trim(tx, now)


async def counted(tx: Tx, watched: Watched) -> list[Counted]:
    """All that was counted of a shadow."""
    rows = await tx.rows(
        "SELECT campaign, outcome, reason, live, number FROM shadow_count"
        " WHERE noun = :noun AND key = :key AND version = :version ORDER BY campaign, outcome, reason, live",
        **watched._asdict(),
    )
    return [Counted._make(row) for row in rows]


async def samples(tx: Tx, watched: Watched, agrees: Sequence[int], before: int, limit: int) -> list[Sample]:
    """Samples of a shadow, newest first, from below `before`. `agrees`: 1, 0, and -1 for nothing to agree with."""
    rows = await tx.rows(
        f"SELECT sample_id, {', '.join(_SAMPLE[3:])}, (SELECT max(d.decision_id) FROM decision d"
        " WHERE s.live_outcome IS NOT NULL AND d.time = s.time AND d.message_id = s.message_id) AS live_id"
        " FROM shadow_sample s WHERE noun = :noun AND key = :key AND version = :version AND sample_id < :before"
        f" AND COALESCE(agrees, -1) IN ({tx.unnest('agrees', 'int')}) ORDER BY sample_id DESC LIMIT :limit",
        **watched._asdict(),
        agrees=tx.list_parameter(agrees),
        before=before,
        limit=limit,
    )
    return [_sample(row) for row in rows]


async def newest(tx: Tx, noun: str, key: str) -> int | None:
    """The newest version of which something was counted."""
    row = await tx.row(
        "SELECT max(version) AS n FROM shadow_count WHERE noun = :noun AND key = :key", noun=noun, key=key
    )
    return None if row is None else row.n


async def _trim(tx: Tx, now: Instant) -> None:
    await tx.execute(
        "DELETE FROM shadow_sample WHERE sample_id IN (SELECT sample_id FROM (SELECT sample_id, agrees, time,"
        " row_number() OVER (PARTITION BY noun, key, version, agrees ORDER BY sample_id DESC) AS place"
        f" FROM shadow_sample) ranked WHERE place > CASE WHEN agrees = 1 THEN {AGREEMENTS} ELSE {OTHERS} END"
        " OR time < :oldest)",
        oldest=now - KEPT_FOR,
    )


def _row(note: Note, now: Instant) -> tuple[Any, ...]:
    about, live = note.about, note.live
    return (
        *note.watched,
        None if note.agrees is None else int(note.agrees),
        *(now, about.customer, about.campaign, about.channel, about.message_id),
        *((None, None) if live is None else (live.outcome, live.reason)),
        None if note.decision is None else _ENCODER.encode(note.decision),
    )


def _sample(row: Any) -> Sample:
    agrees = None if row.agrees is None else bool(row.agrees)
    decision = None if row.decision is None else _DECODER.decode(row.decision)
    named = (row.time, row.customer, row.campaign, row.channel, row.message_id, row.live_outcome, row.live_reason)
    return Sample(row.sample_id, agrees, *named, decision, row.live_id)
