"""Requests for a redrive: which letters are meant, at which rate and why. The API and the console make them."""

import secrets
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, StringConstraints, model_validator

from schemas.dead_letters import (
    DEFAULT_REDRIVE_RATE,
    MAX_REASON_LENGTH,
    MAX_REDRIVE_RATE,
    DeadLetterQuery,
    RecordEffect,
    effect_document,
)
from schemas.documents import FieldError
from schemas.fields import Document, InstantField, as_tuple, visible
from schemas.times import Instant, format_instant
from services.kit.db.database import Database
from services.kit.errors import Conflict, NotFound, RateLimited, Transient
from services.orchestrator.dead_letters import store
from services.orchestrator.dead_letters.directory import DeadLetterDirectory
from services.orchestrator.dead_letters.store import RedriveItem, RedriveJob

MAX_LETTERS = 10_000
"""Letters of one job."""
MAX_DRY_RUNS = 50
"""Letters of a dry run: each is evaluated while the caller waits."""
_PAGE = 500

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON_LENGTH), visible]


class NothingToRedrive(Conflict):
    """No open letter matches."""

    default_code = "nothing_to_redrive"


class LetterFilter(Document):
    """Which open letters; a field that is absent matches all. Times are those of the letters."""

    service: Literal["orchestrator", "preference", "suppression"] | None = None
    type: Annotated[str, Field(max_length=256)] | None = None
    customer: Annotated[str, Field(max_length=256)] | None = None
    code: Annotated[str, Field(max_length=100)] | None = None
    topic: Annotated[str, Field(max_length=256)] | None = None
    since: InstantField | None = Field(default=None, alias="from")
    to: InstantField | None = None

    @model_validator(mode="after")
    def _check_order(self) -> "LetterFilter":
        if self.since is not None and self.to is not None and self.to < self.since:
            raise FieldError("to", "`to` must not be earlier than `from`")
        return self

    def to_query(self, limit: int) -> DeadLetterQuery:
        """The query for open letters."""
        return DeadLetterQuery(limit, "open", self.type, self.customer, self.code, self.topic, self.since, self.to)


class DiscardBody(Document):
    """The request to discard a letter. Somebody must be able to read later why its event is missing."""

    reason: Reason


class LetterRedriveBody(Document):
    """The request to redrive one letter."""

    reason: Reason


class RedriveBody(Document):
    """The request to redrive letters: these, or all open ones that match a filter (`{}` for all)."""

    reason: Reason | None = None
    ids: Annotated[tuple[str, ...], as_tuple, Field(min_length=1, max_length=MAX_LETTERS)] | None = None
    filter: LetterFilter | None = None
    rate: Annotated[int, Field(ge=1, le=MAX_REDRIVE_RATE)] = DEFAULT_REDRIVE_RATE
    dry_run: bool = False

    @model_validator(mode="after")
    def _check_choice(self) -> "RedriveBody":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("name the letters: either `ids`, or a `filter`, which may be {} for all open letters")
        if not self.dry_run and self.reason is None:
            raise FieldError("reason", "give the `reason`: it is kept with every letter that the job closes")
        return self


class ChosenLetters(NamedTuple):
    """The letters of a request in the order of their turns, and how many more there are than one job may have."""

    ids: list[str]
    left_out: int


async def choose_letters(letters: DeadLetterDirectory, body: RedriveBody) -> ChosenLetters:
    """The letters that a request names. Raises Transient while a service that may have such letters does not answer.

    Those of a filter in the order of the log. Always facts before decisions: an opt-out among the letters holds for the
    messages that others among them trigger.
    """
    if body.ids is not None:
        return ChosenLetters(_facts_first(letters, dict.fromkeys(body.ids)), 0)
    assert body.filter is not None
    found: list[str] = []
    after = None
    while True:
        page = await letters.page(body.filter.to_query(_PAGE), body.filter.service, after)
        silent = [each.problem for each in page.services if each.problem is not None]
        if silent:
            raise Transient(f"not all letters are known: {silent[0]}", retry_after=5.0)
        found += [item.id for item in page.items]
        after = page.next
        if after is None:
            break
    chosen = found[::-1][:MAX_LETTERS]
    return ChosenLetters(_facts_first(letters, chosen), len(found) - len(chosen))


def _facts_first(letters: DeadLetterDirectory, ids: Iterable[str]) -> list[str]:
    return sorted(ids, key=lambda id: letters.service_of(id) == "orchestrator")


async def start_redrive(
    database: Database, letters: DeadLetterDirectory, body: RedriveBody, by: str, now: Instant
) -> RedriveJob:
    """Queues a job. Raises NotFound for an id that no service can have, Conflict if there is nothing to redrive."""
    chosen = await choose_letters(letters, body)
    if not chosen.ids:
        raise NothingToRedrive("no open letter matches this filter")
    assert body.reason is not None
    id = f"redrive_{secrets.token_hex(8)}"
    async with database.write() as tx:
        if await store.count_queued(tx) >= store.MAX_QUEUED:
            raise RateLimited(f"{store.MAX_QUEUED} jobs wait already; try again later", retry_after=30.0)
        await store.enqueue(tx, id, chosen.ids, chosen.left_out, by, body.reason, body.rate, now)
        job = await store.get_job(tx, id)
    assert job is not None
    return job


async def rehearse_redrive(letters: DeadLetterDirectory, body: RedriveBody) -> dict[str, Any]:
    """What a redrive of these letters would do, of the first ones; nothing is written. Raises NotFound, Transient."""
    chosen = await choose_letters(letters, body)
    items = [await _rehearse(letters, id) for id in chosen.ids[:MAX_DRY_RUNS]]
    return {"total": len(chosen.ids) + chosen.left_out, "shown": len(items), "items": items}


async def _rehearse(letters: DeadLetterDirectory, id: str) -> dict[str, Any]:
    try:
        answer = await letters.look_up(id, dry_run=True)
    except NotFound as error:
        return {"id": id, "state": None, **effect_document(RecordEffect("nothing", error.detail))}
    assert answer.item is not None
    effect = answer.dry_run or RecordEffect("nothing", f"it is {answer.item.state} already")
    return {"id": id, "state": answer.item.state, **effect_document(effect)}


def job_document(job: RedriveJob, items: list[RedriveItem] | None = None) -> dict[str, Any]:
    """The public form of a job; `items`: letters that were not redriven."""
    document = {
        "id": job.id,
        "state": job.state,
        "requested_by": job.requested_by,
        "reason": job.reason,
        "rate": job.rate,
        "created": format_instant(job.created),
        "started": None if job.started is None else format_instant(job.started),
        "finished": None if job.finished is None else format_instant(job.finished),
        "total": job.total,
        "done": job.done,
        "left_out": job.left_out,
        "results": dict(job.counts),
        "waiting": job.waiting,
    }
    return document if items is None else {**document, "items": [_item_document(each) for each in items]}


def _item_document(item: RedriveItem) -> dict[str, Any]:
    return {"id": item.letter, "result": item.result, "effect": item.effect, "detail": item.detail}


async def get_job(database: Database, id: str, results: tuple[store.ItemResult, ...], limit: int) -> dict[str, Any]:
    """A job with those of its letters that ended in one of these ways. Raises NotFound."""
    async with database.read() as tx:
        job = await store.get_job(tx, id)
        if job is None:
            raise NotFound("there is no such job, or it was deleted because of its age")
        return job_document(job, await store.list_items(tx, id, results, limit))


NOT_REDRIVEN: tuple[store.ItemResult, ...] = ("still_dead", "closed_before", "not_found")
