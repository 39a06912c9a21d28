"""The page Operations."""

from __future__ import annotations

import re

import pytest

from schemas.message import HandoverResult
from schemas.times import MINUTE
from services.kit.bus.protocol import Partition
from services.kit.errors import Transient
from services.orchestrator.console.operations_page import FAR_BEHIND, LATE, _log_rows, _waiting_rows
from services.orchestrator.decisions.metrics import BacklogSizes
from services.orchestrator.delivery.adapter_health import AdapterHealth
from services.orchestrator.delivery.adapter_trouble import TroubleNotes
from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired
PATH = "/console/operations"


async def test_it_shows_the_log_the_channels_the_adapters_and_the_services(shop: House) -> None:
    page = (await shop.get(PATH)).text
    for heading in ("Reading the log", "Waiting messages", "Adapters", "Services and their dead letters"):
        assert heading in page
    for service in ("orchestrator", "preference", "suppression"):
        assert f"<td>{service}</td><td>yes</td>" in page
    assert "sandbox" in page and "Serves" in page
    assert 'aria-current="page"' in page


async def test_a_log_that_does_not_answer_is_said_to_be_unknown(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(topic: str) -> dict[Partition, int]:
        raise Transient("the log does not answer")

    monkeypatch.setattr(shop.embedded.services.bus, "end_offsets", gone)
    answer = await shop.get(PATH)
    assert answer.status_code == 200 and "how far deciding is behind is unknown" in answer.text


async def test_an_adapter_that_fails_is_marked(shop: House) -> None:
    health = AdapterHealth()
    health.start(1)
    health.finish([HandoverResult("m", "retry", fault="account")], 0.1)
    database = shop.embedded.services.orchestrator.components.database
    await TroubleNotes(database, {"sandbox": health}, "another").note()
    page = (await shop.get(PATH)).text
    assert "Refuses the account" in page


async def test_a_violation_is_counted_and_marked(shop: House) -> None:
    assert "<dt>Violations</dt><dd>0;" in (await shop.get(PATH)).text
    database = shop.embedded.services.orchestrator.components.database
    async with database.write() as tx:
        await tx.execute(
            "INSERT INTO violation (invariant, subject, customer, rule, detail, marked_at, found) "
            "VALUES ('suppressed_sent', 'msg_1', 'ada', 'suppression', '', :now, :now)",
            now=shop.now,
        )
    page = (await shop.get(PATH)).text
    assert re.search(r"<dt>Violations</dt><dd><svg.*?</svg> 1;", page)


@pytest.mark.parametrize(("role", "status"), [("viewer", 200), ("operator", 200), ("publisher", 403)])
async def test_who_reads_adapters_reads_it(shop: House, role: str, status: int) -> None:
    await shop.sign_in(role)
    assert (await shop.get(PATH)).status_code == status


def test_a_partition_that_nobody_has_read_is_wholly_behind() -> None:
    of = [Partition("customer.events", number) for number in (0, 1, 2)]
    rows = _log_rows({of[1]: FAR_BEHIND, of[0]: 5, of[2]: 3}, {of[0]: 5, of[2]: 9})
    assert [tuple(row) for row in rows] == [(0, 5, 5, 0), (1, FAR_BEHIND, 0, FAR_BEHIND), (2, 3, 3, 0)]
    assert [row.is_watched for row in rows] == [False, True, False]


def test_what_waits_is_told_by_channel_and_late_rows_are_marked() -> None:
    now = 10 * LATE
    sizes = BacklogSizes(
        deferred={("email", "quiet_hours"): 2, ("email", "frequency_cap"): 3, ("sms", "quiet_hours"): 1},
        overdue={"sms": now - LATE - 1},
        due_soon={"email": 4},
        queued={"email": 7, "push": 1},
        oldest={"email": now - MINUTE, "push": now - LATE - 1},
        approvals={},
    )
    rows = {row.channel: row for row in _waiting_rows(sizes, now)}
    assert list(rows) == ["email", "push", "sms"]
    assert (rows["email"].ready, rows["email"].deferred, rows["email"].due_soon) == (7, 5, 4)
    assert {channel: row.is_watched for channel, row in rows.items()} == {"email": False, "push": True, "sms": True}
