"""Entries and holds are answered once no open attempt can still send what they forbid."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.addresses import canonical_by_channel, hash_address
from schemas.service_api import AttemptScope
from tests.support.suppression_service import ADDRESS_KEY, Running, running

pytestmark = pytest.mark.wired

ENTRY = {"customer": "c-1", "reason": "manual", "scope": {"channel": "email", "topic": "news"}}
HOLD = {"key": "kill", "mode": "drop", "reason": "wrong content", "scope": {"campaigns": ["offer"], "region": "PT"}}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    """With a barrier that waits as long as a busy machine may need."""
    async with running(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", tmp_path, barrier_wait=60) as service:
        yield service


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Running]:
    """With a barrier that gives up after a second."""
    async with running(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", tmp_path, barrier_wait=1) as service:
        yield service


async def test_the_answer_waits_until_what_is_under_way_has_ended(service: Running) -> None:
    service.handovers.under_way = {1, 2}
    asked = asyncio.create_task(service.http.post("/v1/suppressions", json=ENTRY))
    await service.handovers.wait_until_polled()
    assert not asked.done()
    service.handovers.under_way = {2}
    await service.handovers.wait_until_polled()
    assert not asked.done()
    service.handovers.under_way.clear()
    answer = await asked
    assert (answer.status_code, answer.json()["enforced"]) == (200, True)
    assert service.metric("optout_enforced_seconds_count", source="suppression") == 1


async def test_what_began_after_we_asked_is_not_waited_for(service: Running) -> None:
    service.handovers.under_way = {1}
    asked = asyncio.create_task(service.http.post("/v1/suppressions", json=ENTRY))
    await service.handovers.wait_until_asked()
    service.handovers.under_way = {7}
    assert (await asked).status_code == 200


async def test_what_does_not_end_in_time_is_answered_with_its_number(impatient: Running) -> None:
    impatient.handovers.under_way = {1, 2, 3}
    entry = await impatient.http.post("/v1/suppressions", json=ENTRY)
    hold = await impatient.http.post("/v1/holds", json=HOLD)
    assert (entry.status_code, entry.json()["enforced"], entry.json()["in_flight"]) == (202, False, 3)
    assert (hold.status_code, hold.json()["enforced"], hold.json()["in_flight"]) == (202, False, 3)
    assert impatient.metric("optout_unenforced_total", source="hold") == 1


async def test_the_entry_is_committed_before_we_ask(service: Running) -> None:
    service.handovers.down = True
    answer = await service.http.post("/v1/suppressions", json=ENTRY)
    assert (answer.status_code, answer.json()["enforced"], answer.json()["in_flight"]) == (202, False, None)
    assert len((await service.http.get("/v1/suppressions")).json()["items"]) == 1


async def test_asking_again_after_a_202_tells_whether_it_is_enforced_by_now(impatient: Running) -> None:
    impatient.handovers.under_way = {1}
    assert (await impatient.http.post("/v1/suppressions", json=ENTRY)).status_code == 202
    impatient.handovers.under_way.clear()
    again = await impatient.http.post("/v1/suppressions", json=ENTRY)
    assert (again.status_code, again.json()["status"], again.json()["enforced"]) == (200, "exists", True)


async def test_the_scope_is_that_of_the_entry(service: Running) -> None:
    await service.http.post("/v1/suppressions", json=ENTRY)
    assert service.handovers.asked == [AttemptScope("c-1", ("email",), ("news",), None)]


async def test_an_address_is_asked_about_by_its_hash_on_every_channel_where_it_is_one(service: Running) -> None:
    await service.http.post("/v1/suppressions", json={"address": "Ada@example.org", "reason": "legal"})
    hashes = {scope.address for scope in service.handovers.asked}
    forms = canonical_by_channel(None, "Ada@example.org", None)
    assert {"email", "push", "in_app"} <= forms.keys()
    assert hashes == {hash_address(ADDRESS_KEY.encode(), channel, form) for channel, form in forms.items()}


async def test_attempts_are_asked_about_by_the_hash_of_the_canonical_form_that_they_go_to(service: Running) -> None:
    body = {"address": "+44 (0)7700 900101", "scope": {"channel": "sms"}, "reason": "legal"}
    await service.http.post("/v1/suppressions", json=body)
    digest = hash_address(ADDRESS_KEY.encode(), "sms", "+447700900101")
    assert [scope.address for scope in service.handovers.asked] == [digest]


async def test_a_hold_without_classes_concerns_service_and_marketing_of_every_region(service: Running) -> None:
    await service.http.post("/v1/holds", json=HOLD)
    (scope,) = service.handovers.asked
    assert scope == AttemptScope(classes=("service", "marketing"), campaigns=("offer",))


async def test_many_rows_are_asked_about_at_once(service: Running) -> None:
    rows = [{"customer": f"c-{n}", "reason": "imported"} for n in range(50)]
    assert (await service.http.post("/v1/suppressions", json=rows)).json()["enforced"] is True
    assert service.handovers.asked == [AttemptScope()]
