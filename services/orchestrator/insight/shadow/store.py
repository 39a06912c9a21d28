"""SQL of shadows: its two tables, and reads of decisions to name the live ones."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.times import DAY, Instant
from services.kit.db.database import Tx
from services.orchestrator.insight.shadow.observations import ShadowObservation, ShadowObservations, ShadowVersion

MAX_AGREEING_SAMPLES: Final = 20
"""Samples that agree, per shadow, at most."""
MAX_OTHER_SAMPLES: Final = 100
"""Samples that disagree, and samples without a live version to compare with, per shadow, at most of each."""
SAMPLE_RETENTION: Final = 30 * DAY
"""How long a sample is kept whatever becomes of its shadow: it concerns a person."""
MAX_KEPT_VERSIONS: Final = 5
"""The number of versions that were in shadow which stay readable, per campaign and for the policy."""

_TEXT_COLUMNS = dict.fromkeys(("campaign", "outcome", "reason", "live"), "text")
_COUNT_COLUMNS = {"noun": "text", "key": "text", "version": "int", **_TEXT_COLUMNS, "number": "bigint"}
_SAMPLE_COLUMNS = (
    *("noun", "key", "version", "agrees", "time", "customer", "campaign", "channel", "message_id"),
    *("live_outcome", "live_reason", "decision"),
)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Decision)


class OutcomeCount(NamedTuple):
    """How often a shadow decided one way about a campaign while the live version decided another."""

    campaign: str
    outcome: str
    reason: str
    live: str
    number: int


class ShadowSample(NamedTuple):
    """A stored observation. `live_id`: the id of the live decision, while that is kept."""

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


async def save_observations(tx: Tx, observations: ShadowObservations) -> None:
    """Counts the observations in one statement, and stores the newest as samples."""
    # Sorted: two processes that add to the same counters lock their rows in the same order, so they cannot deadlock.
    rows = sorted(
        (*observation_key.shadow, *observation_key[1:], number)
        for observation_key, number in observations.count_observations().items()
    )
    if not rows:
        return
    names = ", ".join(_COUNT_COLUMNS)
    await tx.execute(
        f"INSERT INTO shadow_count ({names}) SELECT {names} FROM {tx.table_parameter('c', _COUNT_COLUMNS)} WHERE true"
        " ON CONFLICT (noun, key, version, campaign, outcome, reason, live)"
        " DO UPDATE SET number = shadow_count.number + excluded.number",
        **tx.bind_table_parameter("c", _COUNT_COLUMNS, rows),
    )
    samples = observations.select_samples()
    if samples:
        await tx.bulk_insert(
            "shadow_sample", _SAMPLE_COLUMNS, [_sample_row(observation, observations.now) for observation in samples]
        )
        await _delete_old_samples(tx, observations.now)


async def start_shadow(tx: Tx, shadow: ShadowVersion, now: Instant) -> None:
    """Starts a version's shadow period: deletes its earlier counts, and those of all but the newest other versions."""
    newest_others = await tx.rows(
        "SELECT DISTINCT version FROM shadow_count WHERE noun = :noun AND key = :key AND version <> :version"
        f" ORDER BY version DESC LIMIT {MAX_KEPT_VERSIONS - 1}",
        **shadow._asdict(),
    )
    kept = tx.list_parameter([row.version for row in newest_others])
    for table in ("shadow_count", "shadow_sample"):
        await tx.execute(
            f"DELETE FROM {table} WHERE noun = :noun AND key = :key AND version NOT IN ({tx.unnest('kept', 'int')})",
            noun=shadow.noun,
            key=shadow.key,
            kept=kept,
        )
    await _delete_old_samples(tx, now)


async def list_outcome_counts(tx: Tx, shadow: ShadowVersion) -> list[OutcomeCount]:
    """Returns all counts of a shadow."""
    rows = await tx.rows(
        "SELECT campaign, outcome, reason, live, number FROM shadow_count"
        " WHERE noun = :noun AND key = :key AND version = :version ORDER BY campaign, outcome, reason, live",
        **shadow._asdict(),
    )
    return [OutcomeCount._make(row) for row in rows]


async def list_samples(
    tx: Tx, shadow: ShadowVersion, agrees: Sequence[int], before: int, limit: int
) -> list[ShadowSample]:
    """Returns samples of a shadow below `before`, newest first. `agrees`: 1, 0, or -1 for nothing to compare with."""
    rows = await tx.rows(
        f"SELECT sample_id, {', '.join(_SAMPLE_COLUMNS[3:])}, (SELECT max(d.decision_id) FROM decision d"
        " WHERE s.live_outcome IS NOT NULL AND d.time = s.time AND d.message_id = s.message_id) AS live_id"
        " FROM shadow_sample s WHERE noun = :noun AND key = :key AND version = :version AND sample_id < :before"
        f" AND COALESCE(agrees, -1) IN ({tx.unnest('agrees', 'int')}) ORDER BY sample_id DESC LIMIT :limit",
        **shadow._asdict(),
        agrees=tx.list_parameter(agrees),
        before=before,
        limit=limit,
    )
    return [_to_sample(row) for row in rows]


async def newest_version(tx: Tx, noun: str, key: str) -> int | None:
    """Returns the newest version that has counts."""
    row = await tx.row(
        "SELECT max(version) AS n FROM shadow_count WHERE noun = :noun AND key = :key", noun=noun, key=key
    )
    return None if row is None else row.n


async def _delete_old_samples(tx: Tx, now: Instant) -> None:
    await tx.execute(
        "DELETE FROM shadow_sample WHERE sample_id IN (SELECT sample_id FROM (SELECT sample_id, agrees, time,"
        " row_number() OVER (PARTITION BY noun, key, version, agrees ORDER BY sample_id DESC) AS place"
        f" FROM shadow_sample) ranked "
        f"WHERE place > CASE WHEN agrees = 1 THEN {MAX_AGREEING_SAMPLES} ELSE {MAX_OTHER_SAMPLES} END"
        " OR time < :oldest)",
        oldest=now - SAMPLE_RETENTION,
    )


def _sample_row(observation: ShadowObservation, now: Instant) -> tuple[Any, ...]:
    decided, live = observation.any_decision, observation.live
    return (
        *observation.shadow,
        None if observation.agrees is None else int(observation.agrees),
        *(now, decided.customer, decided.campaign, decided.channel, decided.message_id),
        *((None, None) if live is None else (live.outcome, live.reason)),
        None if observation.decision is None else _ENCODER.encode(observation.decision),
    )


def _to_sample(row: Any) -> ShadowSample:
    agrees = None if row.agrees is None else bool(row.agrees)
    decision = None if row.decision is None else _DECODER.decode(row.decision)
    named = (row.time, row.customer, row.campaign, row.channel, row.message_id, row.live_outcome, row.live_reason)
    return ShadowSample(row.sample_id, agrees, *named, decision, row.live_id)
