"""SQL of dead letters once they are stored: finding, counting and closing them. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.dead_letters import DeadLetterItem, DeadLetterQuery, LetterState
from schemas.times import Instant
from services.kit.bus.dead_letters import DeadLetter, encode_problems, first_line, to_dead_letter
from services.kit.db.database import Tx
from services.kit.errors import RecordProblem

_ITEM_COLUMNS = (
    'id, topic, partition, "offset", timestamp, stage, error_class, error_message, attempts, at, state, problems, '
    "event_source, event_id, event_type, customer, closed_at, closed_by, close_reason, effect, job, redrives, "
    "redriven_at"
)
_SAME_FIELDS = (
    *("state", "at", "topic", "partition", "offset", "timestamp", "stage", "error_class", "error_message", "attempts"),
    *("event_source", "event_id", "event_type", "customer", "redrives", "redriven_at"),
    *("closed_at", "closed_by", "close_reason", "effect", "job"),
)
_decode_problem_documents = msgspec.json.Decoder(tuple[dict[str, str], ...]).decode
_FILTERS = {
    "state": "state = :state",
    "event_type": "event_type = :event_type",
    "customer": "customer = :customer",
    "topic": "topic = :topic",
    "since": "at >= :since",
    "until": "at < :until",
}


async def list_letters(tx: Tx, query: DeadLetterQuery) -> Sequence[Row[Any]]:
    """The letters that match, newest first, without their bytes."""
    where = ["true"]
    values: dict[str, object] = {}
    for name, condition in _FILTERS.items():
        if (value := getattr(query, name)) is not None:
            where.append(condition)
            values[name] = value
    if query.code is not None:
        has_code = "strpos(problems, :has_code)" if tx.dialect == "postgresql" else "instr(problems, :has_code)"
        where.append(f"(error_class = :code OR {has_code} > 0)")
        values |= {"code": query.code, "has_code": f'"code":"{query.code}"'}
    if query.before is not None:
        where.append("(at < :before_at OR (at = :before_at AND id < :before_id))")
        values |= {"before_at": query.before[0], "before_id": query.before[1]}
    return await tx.rows(
        f"SELECT {_ITEM_COLUMNS} FROM dead_letter WHERE {' AND '.join(where)} ORDER BY at DESC, id DESC LIMIT :limit",
        limit=query.limit,
        **values,
    )


async def count_open(tx: Tx) -> tuple[int, Instant | None]:
    """The number of open letters, and the time of the oldest."""
    row = await tx.row("SELECT count(*) AS letters, min(at) AS oldest FROM dead_letter WHERE state = 'open'")
    return (0, None) if row is None else (row.letters, row.oldest)


async def get_letter(tx: Tx, number: int, *, lock: bool = False) -> Row[Any] | None:
    """The whole row of a letter."""
    return await tx.row(f"SELECT * FROM dead_letter WHERE id = :id {tx.for_update if lock else ''}", id=number)


async def close_letter(
    tx: Tx, number: int, state: LetterState, *, by: str, reason: str, at: Instant, effect: str | None, job: str | None
) -> DeadLetter:
    """Closes a letter and returns it as it is now. Requires its row to be locked and open."""
    await tx.execute(
        "UPDATE dead_letter SET state = :state, closed_at = :at, closed_by = :by, close_reason = :reason, "
        "effect = :effect, job = :job WHERE id = :id",
        state=state,
        at=at,
        by=by,
        reason=reason,
        effect=effect,
        job=job,
        id=number,
    )
    if state == "redriven":
        await tx.execute(
            "UPDATE dead_letter SET redrives = redrives + 1, redriven_at = :at WHERE id = :id", at=at, id=number
        )
    row = await get_letter(tx, number)
    assert row is not None
    return to_dead_letter(row)


async def record_failed_redrive(
    tx: Tx, number: int, error: BaseException, problems: Sequence[RecordProblem], at: Instant, job: str
) -> None:
    """Writes on an open letter why its record could not be applied again."""
    await tx.execute(
        "UPDATE dead_letter SET redrives = redrives + 1, redriven_at = :at, error_class = :error_class, "
        "error_message = :message, problems = :problems, job = :job WHERE id = :id AND state = 'open'",
        at=at,
        error_class=type(error).__name__,
        message=first_line(str(error)),
        problems=encode_problems(problems),
        job=job,
        id=number,
    )


async def delete_closed(tx: Tx, before: Instant) -> int:
    """Deletes letters that were closed before an instant; returns how many."""
    return await tx.execute("DELETE FROM dead_letter WHERE state <> 'open' AND closed_at < :before", before=before)


def to_item(row: Row[Any], service: str) -> DeadLetterItem:
    """A row as other services see it."""
    problems = _decode_problem_documents(row.problems)
    return DeadLetterItem(
        id=f"{service}-{row.id}",
        service=service,
        code=problems[0]["code"] if problems else row.error_class,
        problems=problems,
        **{name: getattr(row, name) for name in _SAME_FIELDS},
    )
