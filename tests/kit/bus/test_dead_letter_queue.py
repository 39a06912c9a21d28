"""A redrive applies a record and closes its letter in one transaction, and can be asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import IntegrityError

from schemas.dead_letters import DeadLetterQuery, DeadLetterRequest, DiscardRequest, RecordEffect, RedriveRequest
from services.kit.bus.batch import Batch
from services.kit.bus.dead_letter_queue import DeadLetterQueue
from services.kit.bus.dead_letters import DeadLetter, store_dead_letter
from services.kit.bus.protocol import Record
from services.kit.bus.records_in_hand import Mark, set_marks
from services.kit.db.database import Database, Tx
from services.kit.errors import Invalid, Transient
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from tests.support.recording_consumer import Effects, count, effects, open_database

pytestmark = pytest.mark.wired

JOB = RedriveRequest(("test-1",), "ann", "mended", "job-1")


class RedrivableEffects(Effects):
    """The small service, whose effects can be told; `describe_error` ends the transaction after the effects."""

    describe_error: BaseException | None = None

    async def describe_effect(self, tx: Tx, letter: DeadLetter, prepared: list[Record]) -> RecordEffect:
        if self.describe_error is not None:
            raise self.describe_error
        return RecordEffect("applied", f"{len(prepared)} effect")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with one letter, for which its customer is held."""
    opened = await open_database(database_url)
    record, handler = Record("events", 0, 5, b"c1", b"7", (), 1), Effects()
    async with opened.write() as tx:
        await store_dead_letter(tx, record, Invalid("no"), stage="test", attempts=1, at=1)
        await handler.on_dead_letter(tx, record, Invalid("no"))
    yield opened
    await opened.close()


def queue_of(database: Database, handler: RedrivableEffects) -> DeadLetterQueue[list[Record]]:
    return DeadLetterQueue("test", database, handler, ManualClock(9), Registry(), topics=["events"])


async def test_the_effects_the_end_of_the_letter_and_what_it_began_are_one(database: Database) -> None:
    handler = RedrivableEffects()
    queue = queue_of(database, handler)
    handler.describe_error = Transient("the database went away")
    with pytest.raises(Transient):
        await queue.redrive(JOB)
    assert (await effects(database)).total() == 0 and await count(database, "hold") == 1
    assert await count(database, "dead_letter WHERE state = 'open' AND redrives = 0") == 1
    handler.describe_error = None
    (result,) = await queue.redrive(JOB)
    assert (result.state, result.done, result.effect) == ("redriven", True, RecordEffect("applied", "1 effect"))
    assert await effects(database) == {7: 1} and await count(database, "hold") == 0
    (item,) = (await queue.page(DeadLetterQuery(5))).items
    assert (item.state, item.closed_by, item.close_reason, item.closed_at) == ("redriven", "ann", "mended", 9)


async def test_a_job_that_has_not_heard_the_answer_asks_again_and_another_is_told(database: Database) -> None:
    handler = RedrivableEffects()
    queue = queue_of(database, handler)
    await queue.redrive(JOB)
    (repeated,) = await queue.redrive(JOB)
    assert (repeated.state, repeated.done) == ("redriven", True)
    (other,) = await queue.redrive(RedriveRequest(("test-1",), "bob", "me too", "job-2"))
    assert (other.state, other.done) == ("redriven", False)
    assert await effects(database) == {7: 1}


async def test_a_letter_that_is_closed_is_said_to_be_whatever_follows(database: Database) -> None:
    handler = RedrivableEffects()

    async def fail(_: object) -> None:
        raise KeyError("a metric")

    handler.after_commit = fail  # type: ignore[method-assign, assignment]
    (result,) = await queue_of(database, handler).redrive(JOB)
    assert (result.state, result.done) == ("redriven", True)
    assert await effects(database) == {7: 1}


async def test_a_dry_run_leaves_nothing(database: Database) -> None:
    queue = queue_of(database, RedrivableEffects())
    answer = await queue.look_up(DeadLetterRequest("test-1", dry_run=True))
    assert answer.dry_run == RecordEffect("applied", "1 effect")
    assert (await effects(database)).total() == 0 and await count(database, "hold") == 1
    assert await count(database, "dead_letter WHERE state = 'open' AND redrives = 0") == 1


@pytest.mark.parametrize("where", ["prepare", "apply"])
async def test_a_defect_leaves_the_letter_open_and_does_not_keep_the_others_waiting(
    database: Database, where: str
) -> None:
    handler = RedrivableEffects()

    async def fail(_: object) -> None:
        raise KeyError("ann@example.org")

    setattr(handler, f"on_{where}", fail)
    queue = queue_of(database, handler)
    found, absent = await queue.redrive(RedriveRequest(("test-1", "test-2"), "ann", "mended", "job-1"))
    assert (found.state, found.done, absent.state) == ("open", False, None)
    assert found.effect is not None and found.effect.effect == "failed" and "ann@" not in found.effect.detail
    assert await count(database, "dead_letter WHERE state = 'open' AND redrives = 1 AND error_class = 'KeyError'") == 1
    tried = await queue.look_up(DeadLetterRequest("test-1", dry_run=True))
    assert tried.dry_run is not None and tried.dry_run.effect == "failed"


async def test_what_is_rejected_again_stays_with_its_new_problem(database: Database) -> None:
    handler = RedrivableEffects()

    async def reject(batch: Batch) -> None:
        batch.reject(batch.records[0], Invalid("still no"))

    handler.on_prepare = reject
    (result,) = await queue_of(database, handler).redrive(JOB)
    assert (result.state, result.done) == ("open", False)
    assert await count(database, "dead_letter WHERE state = 'open' AND error_message = 'still no'") == 1
    assert (await effects(database)).total() == 0 and await count(database, "hold") == 1


async def test_an_event_that_arrives_in_the_same_moment_is_tried_once_more(database: Database) -> None:
    """Its row in the inbox appears between the look and the write: the second look sees it."""
    handler = RedrivableEffects()
    calls: list[int] = []

    async def collide_once(_: list[Record]) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise IntegrityError("INSERT", {}, ValueError("UNIQUE"))

    handler.on_apply = collide_once
    (result,) = await queue_of(database, handler).redrive(JOB)
    assert result.done and await effects(database) == {7: 1}


async def test_a_discard_ends_what_the_letter_began(database: Database) -> None:
    queue = queue_of(database, RedrivableEffects())
    assert (await queue.discard(DiscardRequest("test-1", "ann", "a test"))).done
    assert await count(database, "hold") == 0 and (await effects(database)).total() == 0
    second = await queue.discard(DiscardRequest("test-1", "bob", "again"))
    assert (second.state, second.done) == ("discarded", False)
    assert (await queue.discard(DiscardRequest("other-1", "ann", "x"))).state is None


async def test_a_letter_is_marked_while_it_is_handled_and_kept_open_after_two_deaths(database: Database) -> None:
    handler, marks = RedrivableEffects(), list[int]()
    queue = queue_of(database, handler)

    async def look(batch: Batch) -> None:
        marks.append(await count(database, "record_in_hand"))

    handler.on_prepare = look
    for _ in range(2):
        await set_marks(database, [Mark("events", 0, 5, 5)])  # as a process that ended over it has left it
    (refused,) = await queue.redrive(JOB)
    assert (refused.state, refused.done, handler.prepared) == ("open", False, [])
    assert refused.effect is not None and "several processes have ended" in refused.effect.detail
    await queue.look_up(DeadLetterRequest("test-1", dry_run=True))
    (again,) = await queue.redrive(RedriveRequest(("test-1",), "ann", "the cause is mended", "job-2"))
    assert (again.state, marks) == ("redriven", [1, 1])
    assert await count(database, "record_in_hand") == 0
