"""The adapter `apns`, against a real server by HTTP/2 over TLS: requests, reasons, broken connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.times import MINUTE
from services.kit.runtime.clock import Clock, ManualClock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.apns import client
from services.orchestrator.delivery.adapters.apns.adapter import MAX_DOUBTS, ApnsAdapter, create_adapter
from services.orchestrator.delivery.adapters.apns.provider_token import ProviderToken
from services.orchestrator.delivery.adapters.apns.reasons import DOUBTFUL, MEANINGS
from services.orchestrator.delivery.adapters.definition import Adapter
from tests.support.http2_server import (
    ApnsFake,
    Reply,
    drop,
    fail,
    go_away,
    keep_silent,
    refuse,
    reply,
    serving_http2,
)
from tests.support.mail_api_tables import codes_of
from tests.support.push_adapters import (
    CONTENT,
    NOW,
    PLAIN,
    SECONDS,
    p256_key,
    pem,
    proven_claims,
    push_context,
    push_message,
    rsa_key,
    send_one,
)
from tests.support.webhook_receiver import RecordingFirstByteGuard, trusting

IDS: dict[str, Any] = {"key_id": "KEY4567890", "team_id": "TEAM567890", "topic": "example.shop"}
WRITTEN = [("before", "msg_1"), ("after", "msg_1")]


@asynccontextmanager
async def apns(
    fake: ApnsFake | None = None, clock: Clock | None = None, timeout: float = 5.0, protocols: tuple[str, ...] = ("h2",)
) -> AsyncIterator[tuple[ApnsAdapter, ApnsFake]]:
    """An adapter and what it talks to."""
    fake = fake or ApnsFake()
    async with serving_http2(fake, protocols) as url:
        context = push_context("apns", clock, timeout, url=url, **IDS)
        token = ProviderToken(p256_key(), IDS["key_id"], IDS["team_id"], context.clock)
        adapter = ApnsAdapter(token, context, trusting())
        try:
            yield adapter, fake
        finally:
            await adapter.close()


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    fake = ApnsFake()
    async with apns(fake) as (adapter, _):
        yield adapter


def batch(count: int) -> list[Any]:
    return [push_message(f"msg_{number}") for number in range(count)]


async def test_a_request_holds_the_whole_message() -> None:
    async with apns() as (adapter, fake):
        result = await send_one(adapter)
    [request] = fake.requests
    assert result.outcome == "accepted" and result.provider_id == request.headers["apns-id"]
    assert json.loads(request.body) == {
        "order": "7",
        "link": "https://shop.example/o/7",
        "tactful_message": "msg_1",
        "aps": {"alert": {"title": "Grüße", "body": "Es ist da"}, "sound": "default"},
    }
    token = request.headers["authorization"].removeprefix("bearer ")
    assert proven_claims(token, p256_key()) == (
        {"alg": "ES256", "typ": "JWT", "kid": "KEY4567890"},
        {"iss": "TEAM567890", "iat": SECONDS},
    )
    names = (":method", ":path", "apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id")
    assert [request.headers[name] for name in names] == [
        "POST", "/3/device/device0token1", "example.shop", "alert", "10", str(SECONDS + 3600), "order-7",
    ]  # fmt: skip


async def test_the_id_at_apple_is_derived_from_ours_and_the_same_for_every_attempt() -> None:
    async with apns() as (adapter, fake):
        for id in ("msg_1", "msg_1", "msg_2"):
            await send_one(adapter, push_message(id))
    first, again, other = (request.headers["apns-id"] for request in fake.requests)
    assert first == again != other
    assert first == "1f6ab316-8611-5455-a902-90eb5b86fecc", "messages keep their ids from version to version"


@pytest.mark.parametrize("token", ["../../etc", "a:b?c#d", "a\r\nb", "%2e%2e"])
async def test_a_strange_token_stays_one_part_of_the_path(token: str) -> None:
    """Apple judges it: tokens of another provider are no reason to condemn addresses."""
    async with apns() as (adapter, fake):
        await send_one(adapter, push_message(to=token))
    [path] = [request.headers[":path"] for request in fake.requests]
    assert path == f"/3/device/{quote(token, safe='')}" and path.count("/") == 3 and path.isprintable()


async def test_a_plain_content_has_no_expiry_and_a_quiet_one_no_sound() -> None:
    async with apns() as (adapter, fake):
        await send_one(adapter, push_message(content=PLAIN))
        await send_one(adapter, push_message(content={**PLAIN, "priority": "normal"}))
    plain, quiet = fake.requests
    assert not plain.headers.keys() & {"apns-expiration", "apns-collapse-id"}
    assert (plain.headers["apns-priority"], quiet.headers["apns-priority"]) == ("10", "5")
    assert "sound" not in json.loads(quiet.body)["aps"]


async def test_a_thousand_messages_go_over_one_connection() -> None:
    async with apns() as (adapter, fake):
        results = await adapter.send_batch(batch(1000), RecordingFirstByteGuard())
    assert {each.outcome for each in results} == {"accepted"}
    assert len(fake.connections) == 1 and len(fake.requests) == 1000


async def test_no_more_requests_are_open_than_the_server_takes() -> None:
    async with apns(ApnsFake(concurrent=3, delay=0.002)) as (adapter, fake):
        results = await adapter.send_batch(batch(40), RecordingFirstByteGuard())
    assert {each.outcome for each in results} == {"accepted"}
    assert fake.most_open == 3


async def test_a_token_is_used_for_fifty_minutes() -> None:
    clock = ManualClock(NOW)
    async with apns(clock=clock) as (adapter, fake):
        for minutes in (0, 49, 1, 30):
            clock.advance(minutes * MINUTE)
            await send_one(adapter)
    used = [request.headers["authorization"] for request in fake.requests]
    assert used[0] == used[1] != used[2] == used[3]


async def test_a_token_that_apple_calls_expired_is_made_anew_but_not_too_often() -> None:
    clock = ManualClock(NOW)
    expired = reply(403, "ExpiredProviderToken")
    async with apns(ApnsFake(replies=[expired, reply(200), expired, reply(200)]), clock) as (adapter, fake):
        for minutes in (0, 19, 1, 0):
            clock.advance(minutes * MINUTE)
            await send_one(adapter)
    used = [request.headers["authorization"] for request in fake.requests]
    assert used[0] == used[1] == used[2] != used[3], "Apple refuses whoever makes one more than every 20 minutes"


ANSWERS: list[tuple[int, str | None, str, str | None, float | None]] = [
    (400, "BadDeviceToken", "rejected", "address", None),
    (400, "DeviceTokenNotForTopic", "rejected", "address", None),
    (400, "MissingDeviceToken", "rejected", "address", None),
    (410, "Unregistered", "rejected", "address", None),
    (410, "ExpiredToken", "rejected", "address", None),
    (400, "BadTopic", "retry", "account", None),
    (400, "MissingTopic", "retry", "account", None),
    (400, "TopicDisallowed", "retry", "account", None),
    (400, "IdleTimeout", "retry", None, None),
    (400, "BadCollapseId", "rejected", "content", None),
    (400, "PayloadEmpty", "rejected", "content", None),
    (403, "ExpiredProviderToken", "retry", None, 1.0),
    (403, "InvalidProviderToken", "retry", "account", None),
    (403, "MissingProviderToken", "retry", "account", None),
    (403, "BadCertificate", "retry", "account", None),
    (403, "BadCertificateEnvironment", "retry", "account", None),
    (403, "Forbidden", "retry", "account", None),
    (404, "BadPath", "retry", "account", None),
    (405, "MethodNotAllowed", "retry", "account", None),
    (413, "PayloadTooLarge", "rejected", "content", None),
    (429, "TooManyRequests", "retry", "throttle", 60.0),
    (429, "TooManyProviderTokenUpdates", "retry", "throttle", 1200.0),
    (500, "InternalServerError", "unknown", None, None),
    (503, "ServiceUnavailable", "unknown", None, None),
    (503, "Shutdown", "unknown", None, None),
    (500, None, "unknown", None, None),
]


@pytest.mark.parametrize(("status", "reason", "outcome", "fault", "wait"), ANSWERS)
async def test_what_a_reason_means(
    status: int, reason: str | None, outcome: str, fault: str | None, wait: float | None
) -> None:
    async with apns(ApnsFake(replies=[reply(200), reply(status, reason)])) as (adapter, _):
        await send_one(adapter)
        result = await send_one(adapter)
    assert (result.outcome, result.fault, result.retry_after) == (outcome, fault, wait)
    assert result.detail == f"status {status}" + (f", {reason}" if reason else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {reason for _, reason, *_ in ANSWERS}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"reason": 5}', b'{"reason": "ada@example.org"}', b"\xff", b"x" * 200_000]
)
async def test_a_body_without_a_reason_is_no_reason(body: bytes) -> None:
    async with apns(ApnsFake(usual=reply(410, body=body[:60_000]))) as (adapter, _):
        result = await send_one(adapter)
    assert "ada" not in (result.detail or "") and result.outcome == "retry"


@pytest.mark.parametrize("reason", sorted(DOUBTFUL))
async def test_tokens_are_not_condemned_before_one_was_good(reason: str) -> None:
    """With a wrong environment or topic every token is bad: no customer may lose an address for it."""
    async with apns(ApnsFake(usual=reply(400, reason))) as (adapter, _):
        results = await adapter.send_batch(batch(30), RecordingFirstByteGuard())
    assert {(each.outcome, each.fault) for each in results} == {("retry", "account")}


async def test_many_bad_tokens_one_after_the_other_condemn_nobody_any_more() -> None:
    async with apns(ApnsFake(replies=[reply(200)], usual=reply(400, "BadDeviceToken"))) as (adapter, fake):
        await send_one(adapter)
        results = [await send_one(adapter) for _ in range(MAX_DOUBTS + 2)]
        fake.replies = [reply(200)]
        await send_one(adapter)
        after = await send_one(adapter)
    assert [each.fault for each in results] == ["address"] * MAX_DOUBTS + ["account"] * 2
    assert after.fault == "address"


@pytest.mark.parametrize(
    ("replies", "outcome", "detail"),
    [
        ([refuse], "retry", "refused_stream"),
        ([fail], "unknown", "stream_reset"),
        ([drop], "unknown", None),
        ([go_away(after=1, then=drop)], "unknown", None),
        ([go_away(after=0, then=drop), reply(200)], "accepted", "status 200"),
        ([go_away(after=0, then=drop), go_away(after=0, then=drop)], "retry", "goaway"),
        ([go_away(after=1, then=reply(200))], "accepted", "status 200"),
        ([go_away(after=1, then=reply(410, "Unregistered"))], "rejected", "status 410, Unregistered"),
    ],
)
async def test_what_becomes_of_a_message_whose_stream_breaks(
    replies: list[Reply], outcome: str, detail: str | None
) -> None:
    async with apns(ApnsFake(replies=list(replies))) as (adapter, _):
        result = await send_one(adapter)
        assert (await send_one(adapter)).outcome == "accepted", "the next one goes over a connection that works"
    assert result.outcome == outcome
    assert detail is None or result.detail == detail


async def test_after_a_goaway_new_messages_take_a_new_connection() -> None:
    async with apns(ApnsFake(replies=[go_away(after=1, then=reply(200))])) as (adapter, fake):
        await send_one(adapter)
        await send_one(adapter)
    assert len(fake.connections) == 2


async def test_a_goaway_amid_a_batch_loses_and_doubles_nothing() -> None:
    async with apns(ApnsFake(concurrent=10, delay=0.001)) as (adapter, fake):
        fake.replies = [reply(200)] * 20 + [go_away(after=2**31 - 1, then=reply(200))]
        results = await adapter.send_batch(batch(100), RecordingFirstByteGuard())
    assert {each.outcome for each in results} == {"accepted"}
    assert len({request.headers["apns-id"] for request in fake.requests}) == len(fake.requests) == 100


async def test_silence_leaves_an_unknown_outcome_and_a_new_connection() -> None:
    guard = RecordingFirstByteGuard()
    async with apns(ApnsFake(replies=[keep_silent]), timeout=0.3) as (adapter, fake):
        result = await send_one(adapter, guard=guard)
        assert (await send_one(adapter)).outcome == "accepted"
    assert (result.outcome, result.detail, guard.calls) == ("unknown", "TimeoutError", WRITTEN)
    assert len(fake.connections) == 2


async def test_a_message_for_which_there_was_no_room_in_time_is_tried_again() -> None:
    guard = RecordingFirstByteGuard()
    async with apns(ApnsFake(concurrent=0), timeout=0.3) as (adapter, _):
        result = await send_one(adapter, guard=guard)
    assert (result.outcome, result.detail, guard.calls) == ("retry", "TimeoutError", [])


async def test_a_window_without_room_for_the_body_writes_nothing() -> None:
    guard = RecordingFirstByteGuard()
    async with apns(ApnsFake(window=20)) as (adapter, _):
        result = await send_one(adapter, guard=guard)
    assert (result.outcome, result.detail, guard.calls) == ("retry", "no_room_for_the_body", [])


async def test_a_server_that_does_not_speak_http2_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.3)
    silent = ApnsFake(announces_settings=False)
    for fake, protocols, cause in ((ApnsFake(), ("http/1.1",), "NoHttp2"), (silent, ("h2",), "TimeoutError")):
        guard = RecordingFirstByteGuard()
        async with apns(fake, protocols=protocols) as (adapter, _):
            result = await send_one(adapter, guard=guard)
        assert (result.outcome, result.fault, result.detail) == ("retry", None, cause)
        assert guard.calls == [] and fake.requests == []


async def test_a_certificate_that_is_not_trusted_gets_nothing() -> None:
    fake, guard = ApnsFake(), RecordingFirstByteGuard()
    async with serving_http2(fake) as url:
        given = push_context("apns", url=url, key=pem(p256_key()), **IDS)
        adapter = create_adapter(given)
        result = await send_one(adapter, guard=guard)
        await adapter.close()
    assert (result.outcome, result.detail) == ("retry", "SSLCertVerificationError")
    assert guard.calls == [] and fake.requests == []


async def test_an_idle_connection_is_asked_for_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.5)
    async with apns() as (adapter, fake):
        await send_one(adapter)
        assert (await send_one(adapter)).outcome == "accepted"
        assert len(fake.connections) == 1 and fake.connections[0].pings == 1
        fake.answers_pings = False
        assert (await send_one(adapter)).outcome == "accepted", "a dead connection costs no message"
    assert len(fake.connections) == 2


async def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    async with apns() as (adapter, fake):
        await send_one(adapter)
        fake.connections[0].transport.close()
        await asyncio.sleep(0.05)
        assert (await send_one(adapter)).outcome == "accepted"
    assert len(fake.connections) == 2


async def test_an_answer_that_is_too_long_still_counts() -> None:
    long = reply(200, body=b"x" * 100_000)
    async with apns(ApnsFake(usual=long, window=65_535)) as (adapter, _):
        results = [await send_one(adapter) for _ in range(1)]
    assert {each.outcome for each in results} <= {"accepted", "unknown"}


@pytest.mark.parametrize(
    ("fields", "fault", "detail"),
    [
        ({"content": {}}, "content", "incomplete_content"),
        ({"content": {**CONTENT, "data": "["}}, "content", "unreadable_content"),
        ({"content": {**CONTENT, "body": "\ud800"}}, "content", "not_unicode"),
        ({"content": {**CONTENT, "body": "x" * 4000}}, "content", "payload_too_large"),
        ({"to": ""}, "address", "unusable_address"),
    ],
)
async def test_what_apple_would_refuse_is_refused_unwritten(fields: dict[str, Any], fault: str, detail: str) -> None:
    async with apns() as (adapter, fake):
        result = await send_one(adapter, push_message(**fields))
    assert (result.outcome, result.fault, result.detail) == ("rejected", fault, detail)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"key": None}, "KEY is not set"),
        ({"key_id": None}, "KEY_ID is not set"),
        ({"team_id": None}, "TEAM_ID is not set"),
        ({"topic": None}, "TOPIC is not set"),
        ({"key": "very-secret"}, "KEY: not a private key"),
        ({"key": pem(rsa_key())}, "KEY: not a private key on the curve P-256"),
        ({"url": "http://127.0.0.1"}, "URL: write https://host"),
        ({"url": "https://api.push.apple.com/3"}, "URL: write https://host, without a path"),
        ({"url": "https://10.0.0.1"}, "URL: .*10.0.0.1"),
    ],
)
def test_settings_that_cannot_work_are_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=f"TACTFUL_APNS__{words}") as refused:
        create_adapter(push_context("apns", **{"key": pem(p256_key()), **IDS, **fields}))
    assert "very-secret" not in str(refused.value)


def test_the_doctor_names_what_is_missing_and_shows_no_key() -> None:
    declaration = ADAPTER_REGISTRY.declarations["apns"]
    missing = declaration.check(declaration.settings())
    assert (
        missing.remedy
        == "set TACTFUL_APNS__KEY and TACTFUL_APNS__KEY_ID and TACTFUL_APNS__TEAM_ID and TACTFUL_APNS__TOPIC"
    )
    found = declaration.check(push_context("apns", key=pem(p256_key()), **IDS).settings)
    assert found.remedy is None and found.detail == "apns for example.shop, at https://api.push.apple.com"
    adapter = create_adapter(push_context("apns", key=pem(p256_key()), **IDS))
    assert (adapter.name, adapter.idempotent) == ("apns", False)


async def test_a_late_message_leaves_the_connection_usable() -> None:
    guard = RecordingFirstByteGuard(late={"msg_1"})
    async with apns() as (adapter, fake):
        late, other = await adapter.send_batch([push_message("msg_1"), push_message("msg_2")], guard)
    assert (late.outcome, late.detail, other.outcome) == ("retry", "past_deadline", "accepted")
    assert len(fake.connections) == len(fake.requests) == 1
