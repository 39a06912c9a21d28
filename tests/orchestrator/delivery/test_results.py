"""What becomes of the messages of a handover, in one transaction with its closing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.message import HandoverOutcome, HandoverResult
from services.kit.db.database import Tx
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.delivery import results as results_module
from services.orchestrator.delivery.attempts import AttemptResult
from services.orchestrator.delivery.results import record_results
from tests.support.handovers import claim, report
from tests.support.worker_crew import Crew, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {"zone": "Etc/UTC", "topics": [{"key": "news", "name": "News"}]}


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[Crew]:
    """One worker on SQLite, which has claimed two messages of two customers together and does no more."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'results.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as made:
        now = made.clock.now()
        await made.workers[0].decide_and_mark(record("a", "e-1", "low", now), record("b", "e-2", "low", now))
        yield made


async def messages(us: Crew) -> dict[str, Any]:
    """Messages by customer."""
    async with us.database.read() as tx:
        return {row.customer: row for row in await tx.rows("SELECT * FROM tracked_message")}


async def contacts(us: Crew, customer: str) -> list[str]:
    async with us.database.read() as tx:
        rows = await tx.rows(
            "SELECT state FROM contact_history WHERE customer = :customer ORDER BY seq", customer=customer
        )
    return [row.state for row in rows]


def said(row: Any, outcome: HandoverOutcome, **more: Any) -> AttemptResult:
    return AttemptResult(row.customer, row.attempts, HandoverResult(row.message_id, outcome, **more), True, "webhook")


async def test_what_is_accepted_and_what_is_not_end_together(us: Crew) -> None:
    found = await messages(us)
    assert found["a"].handover_id == found["b"].handover_id
    answers = [said(found["a"], "accepted", provider_id="p-1"), said(found["b"], "rejected", detail="status 400")]
    await report(us.database, found["a"].handover_id, answers, us.clock.now())
    ended = await messages(us)
    assert [(ended[name].state, ended[name].provider_id, ended[name].detail) for name in ("a", "b")] == [
        ("accepted", "p-1", None),
        ("rejected", None, "status 400"),
    ]
    assert (await contacts(us, "a"), await contacts(us, "b")) == (["made"], ["made", "released"])


async def test_until_all_is_written_nothing_counts_as_accepted(us: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the closing and the states of what was not accepted leaves the handover open."""
    found = await messages(us)
    answers = [said(found["a"], "accepted"), said(found["b"], "rejected")]

    async def crash(tx: Tx, *_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(results_module, "_write_next_states", crash)
    with pytest.raises(ZeroDivisionError):
        await report(us.database, found["a"].handover_id, answers, us.clock.now())
    assert {row.state for row in (await messages(us)).values()} == {"handing_over"}


async def test_a_rejection_after_an_unknown_outcome_leaves_the_message_unknown(us: Crew) -> None:
    """Its first attempt may have arrived, so it counts on against caps whatever the second one ends with."""
    first = (await messages(us))["a"]
    await report(us.database, first.handover_id, [said(first, "unknown")], us.clock.now())
    async with us.database.write() as tx:
        await tx.execute("UPDATE message SET state = 'pending' WHERE customer = 'a'")
        second = await claim(tx, first.message_id, channel="push", at=us.clock.now())
    again = (await messages(us))["a"]
    assert (again.attempts, again.maybe_sent) == (2, 1)
    await report(us.database, second, [said(again, "rejected")], us.clock.now())
    assert ((await messages(us))["a"].state, (await contacts(us, "a"))[-1]) == ("unknown", "unknown")


async def test_the_end_of_a_part_leaves_the_handover_open_for_the_others(us: Crew) -> None:
    found = await messages(us)
    async with us.database.write() as tx:
        part = [said(found["a"], "unknown")]
        assert await record_results(tx, found["a"].handover_id, part, us.clock.now(), closes=False)
    assert [(await messages(us))[name].state for name in ("a", "b")] == ["retry", "handing_over"]
    await report(us.database, found["b"].handover_id, [said(found["b"], "accepted")], us.clock.now())
    assert [(await messages(us))[name].state for name in ("a", "b")] == ["retry", "accepted"]
