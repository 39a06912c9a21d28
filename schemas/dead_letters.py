"""Dead letters as the services tell one another about them: what to list, what a letter is, what became of it.

A dead letter is a record of the log that one service could not apply. Its id names the service: `preference-12`.
"""

from typing import Any, Literal

import msgspec

from schemas.times import HOUR, Instant, format_instant

LetterState = Literal["open", "redriven", "discarded"]
LETTER_STATES: tuple[LetterState, ...] = ("open", "redriven", "discarded")
LETTER_SERVICES = ("orchestrator", "preference", "suppression")
OLD_LETTER_AGE = 4 * HOUR
"""Microseconds after which an open letter is old: the alert TactfulDeadLettersOld rings, `tactful doctor` is red."""

MAX_REASON_LENGTH = 500
DEFAULT_REDRIVE_RATE = 10
MAX_REDRIVE_RATE = 500
"""Letters a second."""

Effect = Literal["applied", "duplicate", "unchanged", "nothing", "rejected", "failed"]
"""What becomes of a record that is applied again. After the last two, its letter stays open."""


class RecordEffect(msgspec.Struct, frozen=True):
    """What a record does when it is applied now. `detail` and `warnings` are sentences for people.

    `problems`: what is still wrong with a rejected record, each with `pointer`, `code` and `detail`. `decisions`: in
    their public form.
    """

    effect: Effect
    detail: str
    problems: tuple[dict[str, str], ...] = ()
    decisions: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


class DeadLetterQuery(msgspec.Struct, frozen=True):
    """Asks for letters, newest first. A field that is None matches every letter.

    `code`: a problem's code, or the class of the error. `before`: time and number of the letter after which to begin.
    """

    limit: int
    state: LetterState | None = None
    event_type: str | None = None
    customer: str | None = None
    code: str | None = None
    topic: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    before: tuple[Instant, int] | None = None


class DeadLetterItem(msgspec.Struct, frozen=True, kw_only=True):
    """A letter without the bytes of its record. Of the event's identity, what could be read of the record."""

    id: str
    service: str
    state: LetterState
    at: Instant
    topic: str
    partition: int
    offset: int
    timestamp: Instant
    stage: str
    code: str
    error_class: str
    error_message: str
    problems: tuple[dict[str, str], ...]
    attempts: int
    event_source: str | None
    event_id: str | None
    event_type: str | None
    customer: str | None
    redrives: int
    redriven_at: Instant | None
    closed_at: Instant | None
    closed_by: str | None
    close_reason: str | None
    effect: str | None
    job: str | None

    @property
    def number(self) -> int:
        """The letter's number within its service."""
        return int(self.id.rpartition("-")[2])


class DeadLetterPage(msgspec.Struct, frozen=True):
    """Letters of one service; `open`: how many are open in all, and `oldest` the time of the oldest of these."""

    items: tuple[DeadLetterItem, ...]
    open: int
    oldest: Instant | None


class DeadLetterContent(msgspec.Struct, frozen=True):
    """A record's original bytes."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class DeadLetterRequest(msgspec.Struct, frozen=True):
    """Asks for one letter. `dry_run`: also for what its record would do now."""

    id: str
    dry_run: bool = False


class DeadLetterAnswer(msgspec.Struct, frozen=True):
    """One letter with its bytes, None for an unknown one; `dry_run` where that was asked for and the letter is open."""

    item: DeadLetterItem | None
    content: DeadLetterContent | None = None
    dry_run: RecordEffect | None = None


class RedriveRequest(msgspec.Struct, frozen=True):
    """Asks to apply these letters' records again. A letter that `job` has closed already counts as done by it."""

    ids: tuple[str, ...]
    by: str
    reason: str
    job: str


class DiscardRequest(msgspec.Struct, frozen=True):
    """Asks to close a letter without applying its record."""

    id: str
    by: str
    reason: str


class ClosingResult(msgspec.Struct, frozen=True):
    """What became of a letter: its state now (None: there is no such letter), whether this call or job closed it.

    `customer`: whom the letter concerns, as far as that can be read.
    """

    id: str
    state: LetterState | None
    done: bool
    effect: RecordEffect | None = None
    customer: str | None = None


def dead_letter_paths(service: str) -> dict[str, str]:
    """The paths of a service's internal API of dead letters, by what is asked."""
    return {name: f"/internal/{service}/dead-letters/{name}" for name in ("list", "get", "redrive", "discard")}


def letter_document(item: DeadLetterItem) -> dict[str, Any]:
    """The public form of a letter, without its bytes."""
    return {
        "id": item.id,
        "service": item.service,
        "state": item.state,
        "at": format_instant(item.at),
        "code": item.code,
        "problems": list(item.problems),
        "error": {"class": item.error_class, "message": item.error_message, "attempts": item.attempts},
        "event": {"source": item.event_source, "id": item.event_id, "type": item.event_type},
        "customer": item.customer,
        "record": {
            "topic": item.topic,
            "partition": item.partition,
            "offset": item.offset,
            "timestamp": format_instant(item.timestamp),
        },
        "redrives": item.redrives,
        "redriven_at": _optional_instant(item.redriven_at),
        "closed_at": _optional_instant(item.closed_at),
        "closed_by": item.closed_by,
        "close_reason": item.close_reason,
        "effect": item.effect,
        "job": item.job,
    }


def effect_document(effect: RecordEffect) -> dict[str, Any]:
    """The public form of an effect."""
    return {
        "effect": effect.effect,
        "detail": effect.detail,
        "problems": list(effect.problems),
        "decisions": list(effect.decisions),
        "warnings": list(effect.warnings),
    }


def _optional_instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)
