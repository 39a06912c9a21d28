"""The inbox of the company's own app in the database: each message once, in order, and no more than it may hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.message import Message
from schemas.times import DAY
from services.deployment_settings import DeploymentSettings
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.adapters.app_inbox import store
from services.orchestrator.delivery.adapters.app_inbox.adapter import NAME, create_adapter
from services.orchestrator.delivery.adapters.app_inbox.declaration import DECLARATION, AppInboxSettings, parse_origins
from services.orchestrator.delivery.adapters.app_inbox.inbox_reader import decode_content
from services.orchestrator.delivery.adapters.app_inbox.retention import expire_kept
from services.orchestrator.delivery.adapters.definition import AdapterContext, RetentionContext
from services.orchestrator.delivery.adapters.storing_adapter import StoringAdapter
from tactful.doctor_checks import CheckState, check_adapter
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

NOW = 1_800_000_000_000_000
SECRET = "a-secret-of-the-company-0123456789"


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[StoringAdapter]:
    """For tests/contracts/test_adapters.py."""
    stored: dict[str, Message] = {}

    async def store_messages(messages: Sequence[Message]) -> None:
        stored.update({each.id: each for each in messages})

    yield StoringAdapter(NAME, store_messages)


def note(id: str, customer: str = "c-1", **fields: Any) -> Message:
    content = {"title": f"Title of {id}", "body": "Body"}
    return message(id, customer=customer, channel="in_app", to="", **{"content": content, **fields})


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=4)
    yield opened
    await opened.close()


def adapter_on(database: Database) -> StoringAdapter:
    return create_adapter(AdapterContext(AppInboxSettings(), 1.0, database, ManualClock(NOW), OutboundGuard(())))


async def inbox(database: Database, customer: str = "c-1", archived: bool = False) -> list[str]:
    async with database.read() as tx:
        rows = await store.list_inbox(tx, customer, archived=archived, before=None, limit=1000)
    return [row.message_id for row in rows]


@pytest.mark.wired
async def test_a_message_is_there_once_however_often_it_is_handed_over(database: Database) -> None:
    adapter, gate = adapter_on(database), RecordingFirstByteGuard()
    await adapter.send_batch([note("msg_a"), note("msg_b"), note("msg_c", "c-2")], gate)
    handed = await adapter.send_batch([note("msg_b"), note("msg_d"), note("msg_b")], gate)
    assert [each.outcome for each in handed] == ["accepted"] * 3
    assert await inbox(database) == ["msg_d", "msg_b", "msg_a"]
    assert await inbox(database, "c-2") == ["msg_c"]
    assert await inbox(database, "c-3") == []


@pytest.mark.wired
async def test_a_text_that_is_not_unicode_keeps_no_other_message_from_its_inbox(database: Database) -> None:
    odd = note("msg_odd", content={"title": "a\ud800b", "body": "\0 ünd 👨‍👩‍👧"})
    handed = await adapter_on(database).send_batch([note("msg_a"), odd], RecordingFirstByteGuard())
    assert [each.outcome for each in handed] == ["accepted", "accepted"]
    async with database.read() as tx:
        (found,) = await store.find_messages(tx, "c-1", ["msg_odd"])
    assert decode_content(found) == {"title": "a?b", "body": "\0 ünd 👨‍👩‍👧"}


@pytest.mark.wired
async def test_batches_with_the_same_customers_at_once_wait_for_each_other_and_nothing_is_lost(
    database: Database,
) -> None:
    """A deadlock would end one of them. Positions and versions are given once each."""
    adapter, chance = adapter_on(database), random.Random(5)

    async def send(batch: int) -> None:
        messages = [note(f"msg_{batch}_{number}", f"c-{number % 7}") for number in range(70)]
        chance.shuffle(messages)
        handed = await adapter.send_batch(messages, RecordingFirstByteGuard())
        assert {each.outcome for each in handed} == {"accepted"}

    await asyncio.gather(*(send(batch) for batch in range(6)))
    async with database.read() as tx:
        for number in range(7):
            rows = await store.list_changed(tx, f"c-{number}", 0)
            assert len(rows) == 60
            assert [row.version for row in rows] == [row.position for row in rows] == list(range(1, 61))


@pytest.mark.wired
async def test_an_inbox_holds_the_newest_messages_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_MESSAGES", 3)
    adapter, gate = adapter_on(database), RecordingFirstByteGuard()
    await adapter.send_batch([note(f"msg_{number}") for number in range(4)], gate)
    await adapter.send_batch([note("msg_x", "c-2"), note("msg_4"), note("msg_5")], gate)
    assert await inbox(database) == ["msg_5", "msg_4", "msg_3"]
    assert await inbox(database, "c-2") == ["msg_x"]


@pytest.mark.wired
async def test_marks_of_one_customer_change_nothing_of_another(database: Database) -> None:
    await adapter_on(database).send_batch([note("msg_a"), note("msg_b", "c-2")], RecordingFirstByteGuard())
    async with database.write() as tx:
        await store.set_marks(tx, "c-2", ["msg_a", "msg_b"], ["seen", "read"], NOW)
        await store.set_marks(tx, "nobody", ["msg_a"], ["archived"], NOW)
        await store.unarchive(tx, "nobody", ["msg_a"])
    async with database.read() as tx:
        assert [await store.count_unread(tx, each) for each in ("c-1", "c-2")] == [1, 0]
        assert await store.read_versions(tx, ["c-1", "c-2", "nobody"]) == {"c-1": 1, "c-2": 2}
        assert await store.find_messages(tx, "c-1", ["msg_b"]) == []


@pytest.mark.wired
async def test_what_is_old_goes_and_what_is_younger_stays(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "EXPIRED_AT_ONCE", 2)
    async with database.write() as tx:
        await store.insert_messages(tx, [note(f"msg_{number}") for number in range(5)], NOW - 30 * DAY - 1)
        await store.insert_messages(tx, [note("msg_young")], NOW - 30 * DAY)
    settings = AppInboxSettings(keep_days=30)
    await expire_kept(RetentionContext(settings, database, ManualClock(NOW)))
    assert await inbox(database) == ["msg_young"]


@pytest.mark.parametrize("text", ["*", "app.example.com", "https://app.example.com/", "https://A.example.com", "null"])
def test_only_origins_can_be_named(text: str) -> None:
    with pytest.raises(ValueError):
        parse_origins(text)
    with pytest.raises(ValidationError):
        AppInboxSettings(origins=text)


def test_origins_are_separated_by_commas() -> None:
    assert parse_origins(" https://a.example.com,http://localhost:3000 , http://[::1]:80,") == {
        "https://a.example.com",
        "http://localhost:3000",
        "http://[::1]:80",
    }


@pytest.mark.parametrize("secret", ["x" * 40, "0123456789abcdef0123456789abcde"])
def test_a_secret_that_could_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AppInboxSettings.model_validate({"secret": secret})
    assert secret not in str(refused.value)


@pytest.mark.parametrize("development", [True, False])
def test_the_doctor_asks_it_as_it_asks_the_adapters_of_providers(development: bool) -> None:
    adapters = {"in_app": NAME}
    closed = check_adapter(DeploymentSettings(adapters=adapters), "in_app", NAME, development)
    assert (closed.state, closed.detail) == (CheckState.RED, "inbox that nobody can read")
    given: dict[str, Any] = {"adapters": adapters, "app_inbox": AppInboxSettings.model_validate({"secret": SECRET})}
    assert check_adapter(DeploymentSettings(**given), "in_app", NAME, development).state is CheckState.GREEN


@pytest.mark.parametrize(
    ("given", "detail", "remedy"),
    [
        ({}, "inbox that nobody can read", True),
        ({"secret": SECRET}, "inbox for apps, and pages of its own origin alone", False),
        ({"secret": SECRET, "origins": "https://a.example"}, "inbox for pages of 1 origin", False),
        ({"secret": SECRET, "previous_secret": SECRET}, "inbox with one secret twice", True),
    ],
)
def test_the_doctor_says_who_can_read(given: dict[str, Any], detail: str, remedy: bool) -> None:
    found = DECLARATION.check(AppInboxSettings.model_validate(given))
    assert (found.detail, found.remedy is not None) == (detail, remedy)
