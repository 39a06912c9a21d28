"""Attempts are closed for owners that cannot do it themselves, never before that is certain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.times import SECOND
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.attempts import DISPATCHER_GONE, MAYBE_SENT_DETAIL
from services.orchestrator.delivery.delivery import HandoverLimits
from services.orchestrator.delivery.recovery import CLOCK_ERROR, AttemptRecovery
from tests.support.worker_crew import Crew, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {"zone": "Etc/UTC", "topics": [{"key": "news", "name": "News"}]}
DEADLINE, SLACK = 20.0, 5.0
GRACE = int((DEADLINE + SLACK + CLOCK_ERROR) * SECOND)


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[Crew]:
    """One worker on SQLite, which has claimed a message and does no more."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'recovery.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as made:
        await made.workers[0].decide_and_mark(record("a", "e-1", "low", made.clock.now()))
        yield made


def recovery(us: Crew, **adapters: Any) -> AttemptRecovery:
    return AttemptRecovery(us.database, Adapters.one_each(adapters), us.clock, HandoverLimits(DEADLINE, SLACK))


async def opened_ago(us: Crew, span: int) -> None:
    """Let the attempt have been opened so long ago, by the database's time."""
    async with us.database.write() as tx:
        await tx.execute("UPDATE handover SET opened = :opened", opened=await tx.now() - span)


async def seen(us: Crew) -> tuple[Any, ...]:
    async with us.database.read() as tx:
        row = await tx.row("SELECT state, detail, maybe_sent FROM tracked_message")
    assert row is not None
    return tuple(row)


async def test_an_attempt_is_left_alone_while_its_owner_may_still_send(us: Crew) -> None:
    await opened_ago(us, GRACE - 5 * SECOND)
    await recovery(us, push=us.provider).close_overdue()
    assert await seen(us) == ("handing_over", None, 0)


async def test_after_deadline_slack_and_clock_error_it_is_tried_again_where_the_provider_dedupes(us: Crew) -> None:
    await opened_ago(us, GRACE)
    await recovery(us, push=us.provider).close_overdue()
    assert await seen(us) == ("retry", MAYBE_SENT_DETAIL, 1)
    async with us.database.read() as tx:
        (attempt,) = await tx.rows("SELECT number, outcome, detail FROM attempt")
    assert tuple(attempt) == (1, "unknown", DISPATCHER_GONE)


async def test_it_ends_as_unknown_where_the_provider_does_not_dedupe(us: Crew) -> None:
    us.provider.idempotent = False
    await opened_ago(us, GRACE)
    await recovery(us, push=us.provider).close_overdue()
    assert await seen(us) == ("unknown", DISPATCHER_GONE, 0)


async def test_it_ends_as_unknown_when_its_channel_has_no_adapter_any_more(us: Crew) -> None:
    await recovery(us).close_all_open()
    assert await seen(us) == ("unknown", DISPATCHER_GONE, 0)


async def test_with_proof_that_no_other_dispatcher_lives_everything_open_is_closed_at_once(us: Crew) -> None:
    await us.workers[0].decide_and_mark(record("b", "e-2", "low", us.clock.now()))
    await recovery(us, push=us.provider).close_all_open()
    async with us.database.read() as tx:
        assert [row.state for row in await tx.rows("SELECT state FROM tracked_message")] == ["retry", "retry"]
