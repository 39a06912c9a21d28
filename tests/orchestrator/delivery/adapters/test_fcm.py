"""The adapter `fcm`: tokens of a service account, requests, and what each answer means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult
from schemas.times import SECOND
from services.kit.runtime.clock import Clock, ManualClock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.fcm.access_token import SCOPE
from services.orchestrator.delivery.adapters.fcm.adapter import BAD_TOKEN, MEANINGS, create_adapter
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
from tests.support.webhook_receiver import RecordingFirstByteGuard

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


@dataclass
class FcmFake:
    """Google's two servers. `answers`: (status, body, headers) for each request in turn, then yes for all."""

    url: str = ""
    life: float = 3600
    token_status: int = 200
    token_body: str | None = None
    token_delay: float = 0.0
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    assertions: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    used_tokens: list[str] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return await self._grant(request)
        assert request.path == "/v1/projects/shop-1/messages:send" and request.method == "POST"
        self.used_tokens.append(request.headers.get("authorization", ""))
        self.bodies.append(json.loads(await request.read()))
        status, body, headers = (
            self.answers.pop(0) if self.answers else (200, {"name": "projects/shop-1/messages/0:1"}, {})
        )
        return web.Response(status=status, text=json.dumps(body), headers=headers)

    async def _grant(self, request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        self.assertions.append(str(form["assertion"]))
        await asyncio.sleep(self.token_delay)
        token = {"access_token": f"ya29.{len(self.assertions)}", "expires_in": self.life, "token_type": "Bearer"}
        text = json.dumps(token) if self.token_body is None else self.token_body
        return web.Response(status=self.token_status, text=text, headers={"retry-after": "7"})


def service_account(url: str, **fields: Any) -> str:
    account = {
        "type": "service_account", "project_id": "shop-1", "private_key_id": "key-1", "private_key": pem(rsa_key()),
        "client_email": "tactful@shop-1.iam.gserviceaccount.com", "token_uri": f"{url}/token", **fields,
    }  # fmt: skip
    return json.dumps({name: value for name, value in account.items() if value is not None})


@asynccontextmanager
async def fcm(fake: FcmFake | None = None, clock: Clock | None = None) -> AsyncIterator[tuple[Adapter, FcmFake]]:
    """An adapter and what it talks to."""
    fake = fake or FcmFake()
    runner = web.ServerRunner(web.Server(fake.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    adapter = create_adapter(push_context("fcm", clock, url=fake.url, service_account=service_account(fake.url)))
    try:
        yield adapter, fake
    finally:
        await adapter.close()
        await runner.cleanup()


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with fcm() as (adapter, _):
        yield adapter


async def test_a_request_holds_the_whole_message() -> None:
    async with fcm() as (adapter, fake):
        result = await send_one(adapter)
    assert (result.outcome, result.provider_id) == ("accepted", "projects/shop-1/messages/0:1")
    assert fake.bodies == [
        {
            "message": {
                "token": "device0token1",
                "notification": {"title": "Grüße", "body": "Es ist da"},
                "data": {"order": "7", "link": "https://shop.example/o/7", "tactful_message": "msg_1"},
                "android": {
                    "collapse_key": "order-7",
                    "notification": {"tag": "order-7"},
                    "ttl": "3600s",
                    "priority": "HIGH",
                },
                "apns": {
                    "headers": {
                        "apns-collapse-id": "order-7",
                        "apns-expiration": str(SECONDS + 3600),
                        "apns-priority": "10",
                    },
                    "payload": {"aps": {"sound": "default"}},
                },
                "webpush": {
                    "headers": {"Topic": "order-7", "TTL": "3600", "Urgency": "high"},
                    "fcm_options": {"link": "https://shop.example/o/7"},
                },
            }
        }
    ]


async def test_a_plain_content_asks_for_nothing_special() -> None:
    async with fcm() as (adapter, fake):
        await send_one(adapter, push_message(content=PLAIN))
        await send_one(adapter, push_message(content={**PLAIN, "priority": "normal", "link": "shop://o/7"}))
    first, second = (body["message"] for body in fake.bodies)
    assert first.keys() == {"token", "notification", "data", "apns"}
    assert first["apns"] == {"payload": {"aps": {"sound": "default"}}}
    assert second["android"] == {"priority": "NORMAL"} and second["webpush"] == {"headers": {"Urgency": "normal"}}
    assert second["apns"] == {"headers": {"apns-priority": "5"}, "payload": {"aps": {}}}


async def test_a_collapse_key_that_is_no_topic_becomes_a_digest() -> None:
    async with fcm() as (adapter, fake):
        for key in ("order/7", "x" * 40):
            await send_one(adapter, push_message(content={**CONTENT, "collapse_key": key}))
    topics = [body["message"]["webpush"]["headers"]["Topic"] for body in fake.bodies]
    assert all(len(topic) == 32 and topic.replace("-", "").replace("_", "").isalnum() for topic in topics)
    assert topics[0] != topics[1]


async def test_a_token_is_asked_for_by_one_request_at_once_and_used_by_all() -> None:
    async with fcm(FcmFake(token_delay=0.05)) as (adapter, fake):
        sent = [push_message(f"msg_{number}") for number in range(30)]
        results = await adapter.send_batch(sent, RecordingFirstByteGuard())
    assert {each.outcome for each in results} == {"accepted"}
    assert set(fake.used_tokens) == {"Bearer ya29.1"}
    [assertion] = fake.assertions
    header, claims = proven_claims(assertion, rsa_key())
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert claims == {
        "iss": "tactful@shop-1.iam.gserviceaccount.com", "scope": SCOPE, "aud": f"{fake.url}/token",
        "iat": SECONDS, "exp": SECONDS + 3600,
    }  # fmt: skip


async def test_a_token_is_renewed_before_it_ends() -> None:
    clock = ManualClock(NOW)
    async with fcm(clock=clock) as (adapter, fake):
        for seconds in (0, 2879, 1, 100):
            clock.advance(seconds * SECOND)
            assert (await send_one(adapter)).outcome == "accepted"
    assert fake.used_tokens == ["Bearer ya29.1", "Bearer ya29.1", "Bearer ya29.2", "Bearer ya29.2"]


async def test_a_token_serves_while_no_other_can_be_had() -> None:
    clock = ManualClock(NOW)
    async with fcm(clock=clock) as (adapter, fake):
        await send_one(adapter)
        fake.token_status = 503
        clock.advance(3000 * SECOND)
        assert (await send_one(adapter)).outcome == "accepted"
        clock.advance(601 * SECOND)
        failed = await send_one(adapter)
    assert (failed.outcome, failed.fault, failed.detail) == ("retry", None, "no token, status 503")
    assert failed.retry_after == 7.0 and len(fake.used_tokens) == 2


@pytest.mark.parametrize(
    ("status", "body", "fault", "detail"),
    [
        (400, '{"error": "invalid_grant"}', "account", "no token, status 400"),
        (401, "", "account", "no token, status 401"),
        (302, "", "account", "no token, status 302"),
        (429, "", None, "no token, status 429"),
        (500, "", None, "no token, status 500"),
        (200, "{", None, "no token, unreadable"),
        (200, '{"access_token": "a\\nb"}', None, "no token, unreadable"),
    ],
)
async def test_without_a_token_nothing_is_written(status: int, body: str, fault: str | None, detail: str) -> None:
    guard = RecordingFirstByteGuard()
    async with fcm(FcmFake(token_status=status, token_body=body)) as (adapter, fake):
        sent = [push_message(f"msg_{number}") for number in range(5)]
        results = await adapter.send_batch(sent, guard)
    assert {(each.outcome, each.fault, each.detail) for each in results} == {("retry", fault, detail)}
    assert len(fake.assertions) == 1, "a failure is answered for a while without another request"
    assert guard.calls == [] and fake.bodies == []


async def test_a_token_that_is_refused_is_not_used_again_unless_it_is_new() -> None:
    clock = ManualClock(NOW)
    refused: tuple[int, Any, dict[str, str]] = (401, error("UNAUTHENTICATED"), {})
    async with fcm(FcmFake(answers=[refused, refused]), clock) as (adapter, fake):
        results = []
        for seconds in (0, 60, 0):
            clock.advance(seconds * SECOND)
            results.append(await send_one(adapter))
    assert [(each.outcome, each.fault) for each in results] == [("retry", "account")] * 2 + [("accepted", None)]
    assert fake.used_tokens == ["Bearer ya29.1", "Bearer ya29.1", "Bearer ya29.2"]


def error(status: str, code: str | None = None, text: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    own = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    return {"error": {"code": 400, "message": text, "status": status, "details": [*own, *details]}}


NO_TOKEN = "The registration token is not a valid FCM registration token"
VIOLATION = {"@type": BAD_REQUEST, "fieldViolations": [{"field": "message.token", "description": "ada@example.org"}]}
ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    (404, error("NOT_FOUND", "UNREGISTERED"), "rejected", "address", "UNREGISTERED"),
    (400, error("INVALID_ARGUMENT", "INVALID_ARGUMENT", NO_TOKEN), "rejected", "address", BAD_TOKEN),
    (
        400,
        error("INVALID_ARGUMENT", "INVALID_ARGUMENT", NO_TOKEN, VIOLATION),
        "rejected",
        "content",
        "INVALID_ARGUMENT",
    ),
    (400, error("INVALID_ARGUMENT", None, NO_TOKEN, VIOLATION), "rejected", "content", "INVALID_ARGUMENT"),
    (400, error("INVALID_ARGUMENT", "INVALID_ARGUMENT", "too big"), "rejected", "content", "INVALID_ARGUMENT"),
    (403, error("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), "retry", "account", "SENDER_ID_MISMATCH"),
    (403, error("PERMISSION_DENIED"), "retry", "account", "PERMISSION_DENIED"),
    (404, error("NOT_FOUND"), "retry", "account", "NOT_FOUND"),
    (401, error("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), "retry", "account", "THIRD_PARTY_AUTH_ERROR"),
    (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), "retry", "throttle", "QUOTA_EXCEEDED"),
    (503, error("UNAVAILABLE", "UNAVAILABLE"), "unknown", None, "UNAVAILABLE"),
    (500, error("INTERNAL", "INTERNAL"), "unknown", None, "INTERNAL"),
    (500, "no object", "unknown", None, ""),
    (400, {"error": {"details": 5, "status": "ada@example.org"}}, "rejected", "content", ""),
    (400, {"error": {"details": [5, {"@type": 5}]}}, "rejected", "content", ""),
    (400, {"error": []}, "rejected", "content", ""),
    (302, "", "retry", "account", ""),
    (299, "{", "accepted", None, ""),
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    async with fcm(FcmFake(answers=[(status, body, {})])) as (adapter, _):
        result = await send_one(adapter)
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(("headers", "wait"), [({"retry-after": "5"}, 5.0), ({}, 60.0), ({"retry-after": "x"}, 60.0)])
async def test_a_full_quota_waits_as_long_as_google_says_or_a_minute(headers: dict[str, str], wait: float) -> None:
    answer = (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), headers)
    async with fcm(FcmFake(answers=[answer])) as (adapter, _):
        assert (await send_one(adapter)).retry_after == wait


@pytest.mark.parametrize(
    ("fields", "fault", "detail"),
    [
        ({"content": {}}, "content", "incomplete_content"),
        ({"content": {**CONTENT, "title": ""}}, "content", "incomplete_content"),
        ({"content": {**CONTENT, "data": "{"}}, "content", "unreadable_content"),
        ({"content": {**CONTENT, "data": '{"a": 5}'}}, "content", "unreadable_content"),
        ({"content": {**CONTENT, "ttl": "soon"}}, "content", "unreadable_content"),
        ({"content": {**CONTENT, "body": "\ud800"}}, "content", "not_unicode"),
        ({"to": ""}, "address", "unusable_address"),
        ({"to": "a\nb"}, "address", "unusable_address"),
        ({"to": "ü"}, "address", "unusable_address"),
    ],
)
async def test_what_no_provider_gets_is_refused_unwritten(fields: dict[str, Any], fault: str, detail: str) -> None:
    async with fcm() as (adapter, fake):
        result = await send_one(adapter, push_message(**fields))
    assert (result.outcome, result.fault, result.detail) == ("rejected", fault, detail)
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"service_account": None}, "SERVICE_ACCOUNT is not set"),
        ({"service_account": "{}"}, "SERVICE_ACCOUNT: not the JSON of a service account"),
        ({"service_account": "very-secret"}, "SERVICE_ACCOUNT: not the JSON of a service account"),
        ({"service_account": service_account("https://t.example", private_key="x")}, "not a private key"),
        ({"service_account": service_account("https://t.example", private_key=pem(p256_key()))}, "private RSA key"),
        ({"service_account": service_account("https://t.example", project_id="a/b")}, "not the JSON"),
        ({"service_account": service_account("https://10.0.0.1")}, "SERVICE_ACCOUNT: .*10.0.0.1"),
        ({"service_account": service_account("https://t.example"), "url": "http://93.184.216.34"}, "URL: .*https"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=f"TACTFUL_FCM__.*{words}") as refused:
        create_adapter(push_context("fcm", **fields))
    assert "very-secret" not in str(refused.value)


def test_line_breaks_of_a_key_may_be_written_as_backslash_n() -> None:
    escaped = json.loads(service_account("https://t.example"))
    escaped["private_key"] = escaped["private_key"].replace("\n", "\\n")
    adapter = create_adapter(push_context("fcm", service_account=json.dumps(escaped)))
    assert (adapter.name, adapter.idempotent) == ("fcm", False)


def test_the_doctor_names_what_is_missing_and_shows_no_key() -> None:
    declaration = ADAPTER_REGISTRY.declarations["fcm"]
    assert declaration.check(declaration.settings()).remedy == "set TACTFUL_FCM__SERVICE_ACCOUNT"
    found = declaration.check(push_context("fcm", service_account=service_account("https://t.example")).settings)
    assert found.remedy is None and found.detail == "fcm, at https://fcm.googleapis.com"


async def test_no_answer_after_the_request_leaves_an_unknown_outcome() -> None:
    async def lose(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return await fake._grant(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    fake = FcmFake()
    fake.handle = lose  # type: ignore[method-assign]
    async with fcm(fake) as (adapter, _):
        result: HandoverResult = await send_one(adapter)
    assert (result.outcome, result.fault) == ("unknown", None)
