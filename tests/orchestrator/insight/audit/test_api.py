"""Broken promises over HTTP, on both databases: who may read them, in which order, and that each is kept once."""

import pytest

from services.kit.db.database import Database
from services.orchestrator.insight.audit import store
from services.orchestrator.insight.audit.store import Violation
from tests.support.orchestrator_app import NOON, World

pytestmark = pytest.mark.wired

OVER_CAP = Violation("over_cap", "msg_1", "c-1", "frequency_cap", "one-a-day", 3, NOON)


async def keep(database: Database, before: int, after: int, *broken: Violation) -> list[Violation] | None:
    async with database.write() as tx:
        return await store.record_page(tx, before, after, broken, NOON + 1)


async def test_what_was_found_is_listed_newest_first(here: World) -> None:
    ledger = Violation("ledger_differs", "c-1", "c-1", "ledger", "history", None, NOON)
    assert await keep(here.database, 0, 7, OVER_CAP, ledger) == [OVER_CAP, ledger]
    first = (await here.call("auditor", "GET", "/v1/violations?limit=1")).json()
    rest = (await here.call("auditor", "GET", f"/v1/violations?limit=1&after={first['next']}")).json()
    assert first["items"][0]["invariant"] == "ledger_differs" and first["items"][0]["about"] == "customer"
    assert rest == {
        "items": [
            {
                "invariant": "over_cap",
                "about": "message",
                "message_id": "msg_1",
                "customer": "c-1",
                "rule": "frequency_cap",
                "rule_id": "one-a-day",
                "policy_version": 3,
                "marked_at": "2026-03-02T12:00:00Z",
                "found": "2026-03-02T12:00:00.000001Z",
            }
        ],
        "next": None,
    }
    chosen = (await here.call("operator", "GET", "/v1/violations?invariant=over_cap")).json()["items"]
    assert [each["message_id"] for each in chosen] == ["msg_1"]


@pytest.mark.parametrize(("role", "status"), [("auditor", 200), ("operator", 200), ("admin", 200), ("viewer", 403)])
async def test_auditors_and_operators_may_read_them(here: World, role: str, status: int) -> None:
    assert (await here.call(role, "GET", "/v1/violations")).status_code == status


async def test_a_promise_is_broken_once_and_of_two_auditors_one_wins(here: World) -> None:
    assert await keep(here.database, 0, 7, OVER_CAP) == [OVER_CAP]
    assert await keep(here.database, 0, 7, OVER_CAP) is None
    assert await keep(here.database, 7, 9, OVER_CAP) == []
    async with here.database.read() as tx:
        assert await store.get_cursor(tx) == 9
