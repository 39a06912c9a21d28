"""The adapter `webpush`: encryption and proof by the vectors of the RFCs, and endpoints that customers have chosen."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult, Message
from schemas.times import HOUR, SECOND
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import Clock, ManualClock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter, FirstByteGuard
from services.orchestrator.delivery.adapters.mail_api import find_meaning
from services.orchestrator.delivery.adapters.webpush.adapter import (
    MEANINGS,
    WebpushAdapter,
    create_adapter,
    distrust,
    is_push_service,
)
from services.orchestrator.delivery.adapters.webpush.encryption import MAX_CONTENT, encode_point, encrypt
from services.orchestrator.delivery.adapters.webpush.vapid import MAX_ORIGINS, Vapid, read_vapid_key
from services.orchestrator.delivery.channels.web_push.subscription import encode_key
from tests.support.push_adapters import (
    CONTENT,
    NOW,
    PLAIN,
    SECONDS,
    from_base64url,
    p256_key,
    pem,
    proven_claims,
    push_context,
    push_message,
    rsa_key,
    send_one,
)
from tests.support.webhook_receiver import RecordingFirstByteGuard, serving_tls, trusting

SUBJECT = "mailto:push@shop.de"
AUTH = from_base64url("BTBZMqHH6r4Tts7J_aSIgg")
BROWSER_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
"""The browser's private key and secret of RFC 8291, section 5."""


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(from_base64url(text), "big"), ec.SECP256R1())


def subscription(url: str, **keys: str) -> str:
    own = {"p256dh": encode_key(encode_point(private_key(BROWSER_KEY))), "auth": encode_key(AUTH)}
    return json.dumps({"endpoint": url, "keys": {**own, **keys}})


def decrypt(body: bytes) -> bytes:
    """What the browser of the RFC reads. Written after the RFC, not after our code."""
    salt, record, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, sealed = body[21 : 21 + length], body[21 + length :]
    assert (record, length) == (4096, 65) and len(body) <= 4096
    key = private_key(BROWSER_KEY)
    shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    material = HKDF(SHA256(), 32, AUTH, b"WebPush: info\x00" + encode_point(key) + sender).derive(shared)
    content_key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(material)
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(material)
    padded = AESGCM(content_key).decrypt(nonce, sealed, None).rstrip(b"\x00")
    assert padded[-1] == 2
    return padded[:-1]


@dataclass
class PushService:
    """Keeps each request; answers `status`."""

    status: int = 201
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        self.paths.append(request.raw_path if hasattr(request, "raw_path") else request.path)
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(await request.read())
        return web.Response(status=self.status, text=self.body, headers=self.headers)


@asynccontextmanager
async def webpush(
    service: PushService | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[WebpushAdapter, PushService, str]]:
    """An adapter, a push service by TLS, and its base URL."""
    service = service or PushService()
    runner = web.ServerRunner(web.Server(service.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving_tls()).start()
    context = push_context("webpush", clock)
    adapter = WebpushAdapter(Vapid(p256_key(), SUBJECT, context.clock), context, trusting())
    try:
        yield adapter, service, f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await adapter.close()
        await runner.cleanup()


def web_message(url: str, id: str = "msg_1", **fields: Any) -> Message:
    return push_message(id, **{"channel": "web_push", "to": subscription(url), **fields})


@dataclass
class ReaddressedAdapter:
    """The adapter of the contract: subscriptions at an invented host lead to the push service of the test."""

    adapter: WebpushAdapter
    url: str
    name: str = "webpush"
    idempotent: bool = False

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        to = subscription(f"{self.url}/send")
        moved = [msgspec.structs.replace(each, to=to if each.to else "") for each in messages]
        return await self.adapter.send_batch(moved, first_byte)

    async def close(self) -> None:
        await self.adapter.close()


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with webpush() as (adapter, _, url):
        yield ReaddressedAdapter(adapter, url)


def test_the_example_of_rfc_8291_is_encrypted_to_the_same_bytes() -> None:
    encrypted = encrypt(
        b"When I grow up, I want to be a watermelon",
        encode_point(private_key(BROWSER_KEY)),
        AUTH,
        own_key=private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        salt=from_base64url("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert encode_key(encrypted) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_each_message_has_a_key_and_a_salt_of_its_own() -> None:
    public = encode_point(private_key(BROWSER_KEY))
    first, second = (encrypt(b"x", public, AUTH) for _ in range(2))
    assert first[:16] != second[:16] and first[21:86] != second[21:86]
    assert decrypt(first) == decrypt(second) == b"x"


def test_what_has_no_room_in_one_record_is_refused() -> None:
    public = encode_point(private_key(BROWSER_KEY))
    assert len(encrypt(b"x" * MAX_CONTENT, public, AUTH)) == 4096
    with pytest.raises(ValueError, match="3993"):
        encrypt(b"x" * (MAX_CONTENT + 1), public, AUTH)


async def test_a_request_holds_the_whole_message_and_says_who_sends() -> None:
    async with webpush() as (adapter, service, url):
        result = await send_one(adapter, web_message(f"{url}/send/abc?x=1"))
    assert result.outcome == "accepted" and service.paths == ["/send/abc?x=1"]
    [headers], [body] = service.seen, service.bodies
    assert json.loads(decrypt(body)) == {
        "title": "Grüße", "body": "Es ist da", "link": "https://shop.example/o/7", "tag": "order-7",
        "data": {"order": "7"}, "tactful_message": "msg_1",
    }  # fmt: skip
    assert {name: headers[name] for name in ("ttl", "urgency", "topic", "content-encoding", "content-type")} == {
        "ttl": "3600", "urgency": "high", "topic": "order-7", "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
    }  # fmt: skip
    scheme, token, key = headers["authorization"].replace(", k=", " ").replace("t=", "").split(" ")
    header, claims = proven_claims(token, p256_key())
    assert (scheme, key) == ("vapid", encode_key(encode_point(p256_key())))
    assert header == {"alg": "ES256", "typ": "JWT"}
    assert claims == {"aud": url, "exp": SECONDS + 12 * 3600, "sub": SUBJECT}


async def test_a_plain_content_is_kept_for_four_weeks_and_asks_for_nothing_else() -> None:
    async with webpush() as (adapter, service, url):
        await send_one(adapter, web_message(url, content=PLAIN))
    assert service.seen[0]["ttl"] == "2419200" and not service.seen[0].keys() & {"urgency", "topic"}
    assert json.loads(decrypt(service.bodies[0])) == {**PLAIN, "tactful_message": "msg_1"}


def test_a_proof_is_for_one_service_and_renewed_in_time() -> None:
    clock = ManualClock(NOW)
    vapid = Vapid(p256_key(), SUBJECT, clock)
    first = vapid.header_for("https://a.example/1")
    assert vapid.header_for("https://a.example/2") == first != vapid.header_for("https://b.example/1")
    clock.advance(6 * HOUR - SECOND)
    assert vapid.header_for("https://a.example/1") == first
    clock.advance(SECOND)
    assert vapid.header_for("https://a.example/1") != first


def test_customers_cannot_fill_the_memory_with_hosts() -> None:
    vapid = Vapid(p256_key(), SUBJECT, ManualClock(NOW))
    for number in range(MAX_ORIGINS + 5):
        vapid.header_for(f"https://h{number}.example/")
    assert len(vapid._headers) <= MAX_ORIGINS


KNOWN = [
    (201, "", "accepted", None, None), (202, "", "accepted", None, None),
    (301, "", "rejected", None, None), (307, "", "rejected", None, None),
    (400, "", "rejected", "content", None), (413, "", "rejected", "content", None),
    (401, "", "retry", "account", None), (403, "BadJwtToken", "retry", "account", None),
    (404, "", "rejected", "address", None), (410, "", "rejected", "address", None),
    (408, "", "unknown", None, None), (425, "", "retry", None, None),
    (429, "", "retry", "throttle", 60.0),
    (503, "201", "retry", "throttle", 60.0), (503, "202", "retry", None, None),
    (500, "", "unknown", None, None), (503, "", "unknown", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "outcome", "fault", "wait"), KNOWN)
def test_what_an_answer_of_a_push_service_means(
    status: int, code: str, outcome: str, fault: str | None, wait: float | None
) -> None:
    found = find_meaning(MEANINGS, status, code)
    assert (found.outcome, found.fault, found.wait) == (outcome, fault, wait)


@pytest.mark.parametrize(
    ("status", "outcome", "fault"),
    [
        (201, "accepted", None), (302, "rejected", None), (401, "rejected", None), (403, "rejected", None),
        (404, "rejected", "address"), (410, "rejected", "address"), (413, "rejected", "content"),
        (429, "retry", None), (500, "unknown", None),
    ],
)  # fmt: skip
async def test_an_unknown_host_speaks_for_its_own_subscription_alone(
    status: int, outcome: str, fault: str | None
) -> None:
    service = PushService(status, '{"errno": 201, "reason": "ada@example.org"}', {"location": "https://10.0.0.1/"})
    async with webpush(service) as (adapter, _, url):
        result = await send_one(adapter, web_message(url))
    assert (result.outcome, result.fault, result.detail) == (outcome, fault, f"status {status}")
    assert len(service.bodies) == 1, "no redirect is followed"


async def test_retry_after_is_honoured() -> None:
    async with webpush(PushService(429, headers={"retry-after": "17"})) as (adapter, _, url):
        assert (await send_one(adapter, web_message(url))).retry_after == 17.0


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("fcm.googleapis.com", True), ("updates.push.services.mozilla.com", True), ("web.push.apple.com", True),
        ("wns2-par02p.notify.windows.com", True), ("push.apple.com.evil.example", False), ("evilpush.apple.com", False),
        ("127.0.0.1", False), ("", False),
    ],
)  # fmt: skip
def test_push_services_are_known_by_their_domains(host: str, known: bool) -> None:
    assert is_push_service(host) is known


def test_distrust_changes_nothing_else() -> None:
    dead = HandoverResult("msg_1", "rejected", detail="status 410", fault="address")
    assert distrust(dead) is dead


@pytest.mark.parametrize(
    "endpoint",
    ["https://10.0.0.1/x", "https://169.254.169.254/latest/meta-data", "https://[::1]/x", "https://0x7f.1/x",
     "https://93.184.216.34:22/x", "http://127.0.0.1/x", "ftp://example.com/x", "nonsense"],
)  # fmt: skip
async def test_an_endpoint_that_must_not_be_called_is_refused_unwritten(endpoint: str) -> None:
    context = push_context("webpush")
    context = type(context)(context.settings, 5.0, context.database, context.clock, OutboundGuard())
    adapter = WebpushAdapter(Vapid(p256_key(), SUBJECT, context.clock), context, trusting())
    guard = RecordingFirstByteGuard()
    result = await send_one(adapter, web_message(endpoint), guard)
    assert (result.outcome, result.fault, result.detail) == ("rejected", "address", "unusable_address")
    assert guard.calls == []
    await adapter.close()


async def test_a_name_that_leads_into_our_network_is_not_connected_to() -> None:
    """The guard looks at the address of the connection, whatever the name says."""
    context = push_context("webpush")
    context = type(context)(context.settings, 5.0, context.database, context.clock, OutboundGuard())
    adapter = WebpushAdapter(Vapid(p256_key(), SUBJECT, context.clock), context, trusting())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        result = await send_one(adapter, web_message(f"https://localhost:{server.getsockname()[1]}/x"))
        with pytest.raises(TimeoutError):
            server.accept()
    assert (result.outcome, result.detail) == ("retry", "OutboundRefused")
    await adapter.close()


@pytest.mark.parametrize(
    ("fields", "fault", "detail"),
    [
        ({"content": {}}, "content", "incomplete_content"),
        ({"content": {**PLAIN, "body": "\ud800"}}, "content", "not_unicode"),
        ({"content": {**PLAIN, "body": "x" * 3993}}, "content", "payload_too_large"),
        ({"to": ""}, "address", "unusable_address"),
        ({"to": "token"}, "address", "unusable_address"),
        (
            {"to": subscription("https://127.0.0.1/x", p256dh=encode_key(b"\x04" + b"\x01" * 64))},
            "address",
            "unusable_address",
        ),
    ],
)
async def test_what_no_push_service_gets_is_refused_unwritten(fields: dict[str, Any], fault: str, detail: str) -> None:
    async with webpush() as (adapter, service, url):
        result = await send_one(adapter, web_message(url, **fields))
    assert (result.outcome, result.fault, result.detail) == ("rejected", fault, detail)
    assert service.bodies == []


RAW_KEY = encode_key(p256_key().private_numbers().private_value.to_bytes(32, "big"))


@pytest.mark.parametrize(
    "text",
    [RAW_KEY, RAW_KEY + "=", pem(p256_key()), pem(p256_key()).replace("\n", "\\n")],
    ids=["number", "padded number", "PEM", "PEM on one line"],
)
def test_a_key_is_read_as_pem_or_as_a_number(text: str) -> None:
    assert encode_point(read_vapid_key(text)) == encode_point(p256_key())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"private_key": None, "subject": SUBJECT}, "PRIVATE_KEY is not set"),
        ({"private_key": RAW_KEY, "subject": None}, "SUBJECT is not set"),
        ({"private_key": "very-secret", "subject": SUBJECT}, "PRIVATE_KEY: not a private key on the curve P-256"),
        ({"private_key": encode_key(bytes(32)), "subject": SUBJECT}, "PRIVATE_KEY: not a private key"),
        ({"private_key": pem(rsa_key()), "subject": SUBJECT}, "PRIVATE_KEY: not a private key"),
    ],
)
def test_settings_that_cannot_work_are_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=f"TACTFUL_WEBPUSH__{words}") as refused:
        create_adapter(push_context("webpush", **fields))
    assert "very-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "subject",
    ["push@shop.de", "mailto:push", "mailto:push@localhost", "mailto:push@shop.local", "https://localhost",
     "https://shop.invalid", "http://shop.de", "", "mailto:a b@shop.de"],
)  # fmt: skip
def test_a_subject_that_apple_would_refuse_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r"mailto:somebody@your\.domain"):
        push_context("webpush", subject=subject)


def test_the_doctor_names_what_is_missing_and_shows_no_key() -> None:
    declaration = ADAPTER_REGISTRY.declarations["webpush"]
    wanted = "set TACTFUL_WEBPUSH__PRIVATE_KEY and TACTFUL_WEBPUSH__SUBJECT"
    assert declaration.check(declaration.settings()).remedy == wanted
    found = declaration.check(push_context("webpush", private_key=RAW_KEY, subject="https://shop.de").settings)
    assert found.remedy is None and found.detail == "webpush, in the name of https://shop.de"
    adapter = create_adapter(push_context("webpush", private_key=RAW_KEY, subject=SUBJECT))
    assert (adapter.name, adapter.idempotent) == ("webpush", False)
    assert CONTENT["title"] not in repr(vars(adapter))
