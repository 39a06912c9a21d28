"""The dead-letter queue of one service: lists its letters, applies their records again (redrive), or closes them.

A record is applied again here, in the service that refused it, by the handler of its consume loop: not published again.
So its effects and the end of its letter are one transaction, nothing is lost or doubled by a crash, and the other
services, which have applied it already, never see it twice (docs/decisions/0020). The order of the log does not
protect such a record; handlers do, because they lock the customer's row and know the events that they have applied.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from sqlalchemy.exc import IntegrityError

from schemas.dead_letters import (
    ClosingResult,
    DeadLetterAnswer,
    DeadLetterContent,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterRequest,
    DiscardRequest,
    RecordEffect,
    RedriveRequest,
)
from schemas.times import DAY
from services.kit.bus import dead_letter_store as store
from services.kit.bus.batch import Batch, BatchHandler
from services.kit.bus.dead_letters import DeadLetter, problems_of, to_dead_letter
from services.kit.bus.fence import WakeSignal, read_applied_offsets
from services.kit.bus.records_in_hand import in_hand
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent, RecordProblem, Transient
from services.kit.observability.logs import log, log_error
from services.kit.observability.metrics import Registry, counter
from services.kit.runtime.clock import Clock

CLOSED_RETENTION = 30 * DAY
"""Microseconds for which a closed letter is kept, with its bytes."""

T = TypeVar("T")


class RedriveHandler(BatchHandler[T], Protocol[T]):
    """The handler of a consume loop, which can also say what it has done with a single record."""

    async def describe_effect(self, tx: Tx, letter: DeadLetter, prepared: T) -> RecordEffect:
        """Tells, after `apply`, what `apply` has done; nothing is written."""


class _RolledBack(Exception):
    """Ends the transaction of a dry run."""


class DeadLetterQueue(Generic[T]):
    """The dead letters of one service, which is named in their ids."""

    def __init__(
        self,
        service: str,
        database: Database,
        handler: RedriveHandler[T],
        clock: Clock,
        registry: Registry,
        *,
        topics: Collection[str],
        wake: WakeSignal | None = None,
    ) -> None:
        """`topics`: those that this service reads now."""
        self._service = service
        self._database = database
        self._handler = handler
        self._clock = clock
        self._topics = frozenset(topics)
        self._wake = wake or WakeSignal()
        self._closed = counter(
            registry,
            "dead_letter_closed_records_total",
            "Dead letters that were closed",
            {"service": (service,), "state": ("redriven", "discarded")},
        )

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Letters that match, and the count of all open ones. Raises Transient."""
        async with self._database.read() as tx:
            rows = await store.list_letters(tx, query)
            count, oldest = await store.count_open(tx)
        return DeadLetterPage(tuple(store.to_item(row, self._service) for row in rows), count, oldest)

    async def look_up(self, request: DeadLetterRequest) -> DeadLetterAnswer:
        """One letter. Raises Transient."""
        number = self._number_of(request.id)
        async with self._database.read() as tx:
            row = None if number is None else await store.get_letter(tx, number)
        if row is None:
            return DeadLetterAnswer(None)
        letter = to_dead_letter(row)
        record = letter.record
        effect = await self._dry_run(letter) if request.dry_run and letter.state == "open" else None
        content = DeadLetterContent(record.key, record.value, record.headers)
        return DeadLetterAnswer(store.to_item(row, self._service), content, effect)

    async def redrive(self, request: RedriveRequest) -> tuple[ClosingResult, ...]:
        """Applies the records of these letters again, one after the other. Raises Transient: call again then."""
        return tuple([await self._redrive_letter(id, request) for id in request.ids])

    async def discard(self, request: DiscardRequest) -> ClosingResult:
        """Closes a letter whose record will not be applied. Raises Transient."""
        number = self._number_of(request.id)
        async with self._database.write() as tx:
            row = None if number is None else await store.get_letter(tx, number, lock=True)
            if row is None or row.state != "open":
                return ClosingResult(request.id, None if row is None else row.state, done=False)
            letter = await store.close_letter(
                tx,
                row.id,
                "discarded",
                by=request.by,
                reason=request.reason,
                at=self._clock.now(),
                effect=None,
                job=None,
            )
            await self._handler.on_dead_letter_closed(tx, letter)
        self._closed(self._service, "discarded").inc()
        log("dead_letter_discarded", letter=request.id, by=request.by)
        return ClosingResult(request.id, "discarded", done=True)

    async def delete_expired(self) -> int:
        """Deletes the letters that were closed long ago; returns how many. For a periodic task."""
        async with self._database.write() as tx:
            return await store.delete_closed(tx, self._clock.now() - CLOSED_RETENTION)

    def _number_of(self, id: str) -> int | None:
        service, _, digits = id.rpartition("-")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
        return number if service == self._service else None

    async def _redrive_letter(self, id: str, request: RedriveRequest) -> ClosingResult:
        number = self._number_of(id)
        async with self._database.read() as tx:
            row = None if number is None else await store.get_letter(tx, number)
        if row is None:
            return ClosingResult(id, None, done=False)
        if row.state != "open":
            # Closed by this very job: it has asked before and has not heard the answer.
            effect = RecordEffect(row.effect or "applied", "") if row.job == request.job else None
            return ClosingResult(id, row.state, effect is not None, effect, row.customer)
        letter = to_dead_letter(row)
        try:
            async with in_hand(self._database, letter.record):
                result = await self._apply_once_more(letter, id, request)
        except Transient:
            raise
        except Exception as error:  # as in the consume loop: a defect must not keep the other letters waiting
            log_error("dead_letter_redrive_failed", error, letter=id, by=request.by, job=request.job)
            return await self._keep_open(letter, id, error, request)
        if result.done:
            self._closed(self._service, "redriven").inc()
            effect_name = None if result.effect is None else result.effect.effect
            log("dead_letter_redriven", letter=id, by=request.by, job=request.job, effect=effect_name)
        return result

    async def _apply_once_more(self, letter: DeadLetter, id: str, request: RedriveRequest) -> ClosingResult:
        try:
            return await self._apply_and_close(letter, id, request)
        except IntegrityError:
            # The same event has just arrived through the log as well: seen the second time, it is a duplicate.
            return await self._apply_and_close(letter, id, request)

    async def _apply_and_close(self, letter: DeadLetter, id: str, request: RedriveRequest) -> ClosingResult:
        batch = await self._to_batch(letter)
        prepared = await self._handler.prepare(batch)
        if batch.rejected:
            return await self._keep_open(letter, id, batch.rejected[0][1], request)
        async with self._database.write() as tx:
            row = await store.get_letter(tx, letter.id, lock=True)
            if row is None or row.state != "open":
                return ClosingResult(id, None if row is None else row.state, done=False)
            await self._handler.apply(tx, prepared)
            effect = await self._handler.describe_effect(tx, letter, prepared)
            closed = await store.close_letter(
                tx,
                letter.id,
                "redriven",
                by=request.by,
                reason=request.reason,
                at=self._clock.now(),
                effect=effect.effect,
                job=request.job,
            )
            await self._handler.on_dead_letter_closed(tx, closed)
        self._wake.notify()
        try:
            await self._handler.after_commit(prepared)
        except Exception as error:  # as in the consume loop: the letter is closed, whatever follows
            log_error("applied_hook_failed", error, letter=id)
        return ClosingResult(id, "redriven", True, effect, letter.customer)

    async def _keep_open(
        self, letter: DeadLetter, id: str, error: BaseException, request: RedriveRequest
    ) -> ClosingResult:
        problems = problems_of(error)
        async with self._database.write() as tx:
            await store.record_failed_redrive(tx, letter.id, error, problems, self._clock.now(), request.job)
        return ClosingResult(id, "open", done=False, effect=_refusal(error, problems))

    async def _dry_run(self, letter: DeadLetter) -> RecordEffect:
        """What the record would do: it is applied, and the transaction is rolled back."""
        batch = await self._to_batch(letter)
        effect: RecordEffect | None = None
        try:
            async with in_hand(self._database, letter.record):
                prepared = await self._handler.prepare(batch)
                if batch.rejected:
                    return _refusal(batch.rejected[0][1], problems_of(batch.rejected[0][1]))
                async with self._database.write() as tx:
                    await self._handler.apply(tx, prepared)
                    effect = await self._handler.describe_effect(tx, letter, prepared)
                    raise _RolledBack
        except _RolledBack:
            assert effect is not None
            return effect
        except Transient:
            raise
        except Exception as error:  # what a redrive would run into
            return _refusal(error, problems_of(error))

    async def _to_batch(self, letter: DeadLetter) -> Batch:
        """A batch of this one record. Facts must be no older than all that this service has applied of the log."""
        async with self._database.read() as tx:
            positions = {
                partition: offset
                for partition, offset in (await read_applied_offsets(tx)).items()
                if partition.topic in self._topics
            }
        return Batch([letter.record], {}, positions)


def _refusal(error: BaseException, problems: Collection[RecordProblem]) -> RecordEffect:
    if problems:
        documents = tuple({"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in problems)
        parts = "; ".join(f"{each.pointer}: {each.detail}" if each.pointer else each.detail for each in problems)
        return RecordEffect("rejected", f"it still cannot be applied: {parts}", documents)
    return RecordEffect("failed", f"it still cannot be applied ({type(error).__name__}): {_explain(error)}")


def _explain(error: BaseException) -> str:
    if isinstance(error, Permanent):
        return error.detail
    return "an unexpected error, which is a defect of Tactful; see the log"
