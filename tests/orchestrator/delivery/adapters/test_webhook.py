"""The webhook adapter: signatures, what each answer means, what was written when something breaks, safe URLs."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import format_datetime

import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier

from schemas.message import HandoverResult
from schemas.times import HOUR, SECOND, to_datetime
from services.kit.http.outbound import OutboundGuard, OutboundRefused, parse_networks
from services.kit.runtime.clock import ManualClock, SystemClock
from services.orchestrator.delivery.adapters.provider_http import parse_retry_after
from services.orchestrator.delivery.adapters.webhook.adapter import (
    WebhookAdapter,
    WebhookAdapterSettings,
    outcome_for_status,
)
from tests.support.webhook_receiver import (
    SECRET,
    Answer,
    Receiver,
    RecordingFirstByteGuard,
    message,
    serving,
    serving_tls,
    trusting,
)

LOOPBACK = OutboundGuard(parse_networks("127.0.0.0/8, ::1/128"))


def settings(url: str, **fields: object) -> WebhookAdapterSettings:
    return WebhookAdapterSettings.model_validate({"url": url, "secret": SECRET, **fields})


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[WebhookAdapter]:
    """For tests/contracts/test_adapters.py."""
    async with serving(Receiver()) as url:
        yield WebhookAdapter(settings(url), ManualClock(0), LOOPBACK)


async def send(
    answer: bytes | Answer, gate: RecordingFirstByteGuard | None = None, **fields: object
) -> tuple[HandoverResult, Receiver]:
    receiver = Receiver(answer)
    async with serving(receiver) as url:
        webhook = WebhookAdapter(settings(url, **fields), SystemClock(), LOOPBACK)
        [handed] = await webhook.send_batch([message()], gate or RecordingFirstByteGuard())
        await webhook.close()
    return handed, receiver


def status(code: int, headers: str = "", body: str = "") -> bytes:
    return f"HTTP/1.1 {code} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n{body}".encode()


async def test_a_receiver_can_verify_the_signature_with_a_foreign_library() -> None:
    _, receiver = await send(status(200))
    headers, body = receiver.seen[0]
    data = Verifier(SECRET.get_secret_value()).verify(body.decode(), headers)
    assert headers["webhook-id"] == data["data"]["message_id"] == "msg_1"
    assert data["data"]["content"]["subject"] == "Hi"


async def test_id_and_body_are_the_same_for_every_attempt() -> None:
    receiver = Receiver(status(200))
    async with serving(receiver) as url:
        webhook = WebhookAdapter(settings(url), ManualClock(0), LOOPBACK)
        for _ in range(2):
            await webhook.send_batch([message()], RecordingFirstByteGuard())
        await webhook.close()
    (first, body), (second, again) = receiver.seen
    assert first["webhook-id"] == second["webhook-id"] and body == again


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(200, "accepted"), (204, "accepted"), (302, "retry"), (400, "rejected"), (404, "rejected"), (410, "rejected")]
    + [(code, "retry") for code in (425, 429, 503)]
    + [(code, "unknown") for code in (408, 500, 502, 599, 999)],
)
def test_what_a_status_means(code: int, outcome: str) -> None:
    assert outcome_for_status(code) == outcome


@pytest.mark.parametrize("code", [302, 307])
async def test_a_redirect_is_not_followed(code: int) -> None:
    handed, receiver = await send(status(code, "location: /elsewhere\r\n"))
    assert (handed.outcome, handed.detail, len(receiver.seen)) == ("retry", f"status {code}", 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 2.5 ", 2.5),
        ("0", 1.0),
        ("999999999999", 3600.0),
        (format_datetime(to_datetime(HOUR + 90 * SECOND), usegmt=True), 90.0),
        (format_datetime(to_datetime(0), usegmt=True), 1.0),
        ("soon", None),
        ("-5", None),
        ("Fri, 99 Foo 2026", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_inside_its_bounds(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, HOUR) == seconds


@pytest.mark.parametrize(
    ("code", "outcome", "wait"),
    [(408, "unknown", 7.0), (425, "retry", 7.0), (429, "retry", 7.0), (500, "unknown", 7.0), (503, "retry", 7.0)]
    + [(200, "accepted", None), (400, "rejected", None)],
)
async def test_a_message_that_is_tried_again_waits_as_long_as_asked(code: int, outcome: str, wait: float) -> None:
    handed, _ = await send(status(code, "retry-after: 7\r\n"))
    assert (handed.outcome, handed.detail, handed.retry_after) == (outcome, f"status {code}", wait)


@pytest.mark.parametrize(
    ("body", "named"), [('{"id": "p-1"}', "p-1"), ("nope", None), ("[1]", None), ('{"id": 1}', None), ("", None)]
)
async def test_the_receivers_own_id_is_kept(body: str, named: str | None) -> None:
    handed, _ = await send(status(200, "", body))
    assert (handed.outcome, handed.provider_id) == ("accepted", named)


async def _in_pieces(writer: asyncio.StreamWriter) -> None:
    for piece in (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n",
        b'{"id": \r\n6\r\n"p-1"}\r\n0\r\n\r\n',
    ):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_an_answer_may_come_in_pieces() -> None:
    handed, _ = await send(_in_pieces)
    assert (handed.outcome, handed.provider_id) == ("accepted", "p-1")


@pytest.mark.parametrize(("most", "named"), [(13, "p-1"), (12, None)])
@pytest.mark.parametrize("answer", [status(200, "", '{"id": "p-1"}'), _in_pieces])
async def test_an_answer_is_read_up_to_its_limit(answer: bytes | Answer, most: int, named: str | None) -> None:
    handed, _ = await send(answer, max_answer=most)
    assert (handed.outcome, handed.provider_id) == ("accepted", named)


async def test_a_packed_answer_is_not_asked_for_and_not_unpacked() -> None:
    packed = gzip.compress(b'{"id": "p-1"}')
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
    handed, receiver = await send(head.encode() + packed)
    assert (handed.outcome, handed.provider_id) == ("accepted", None)
    assert receiver.seen[0][0]["accept-encoding"] == "identity"


async def test_connections_are_kept_and_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    receiver = Receiver()
    async with serving(receiver) as url:
        webhook = WebhookAdapter(settings(url, concurrency=1), SystemClock(), LOOPBACK)
        handed = await webhook.send_batch([message(f"msg_{number}") for number in range(5)], RecordingFirstByteGuard())
        await webhook.close()
    assert {each.outcome for each in handed} == {"accepted"}
    assert receiver.connected == 1


@pytest.mark.parametrize(
    ("trusted", "host", "outcome", "detail"),
    [
        (None, "127.0.0.1", "retry", "ClientConnectorCertificateError"),
        (trusting(), "localhost", "retry", "ClientConnectorCertificateError"),
        (trusting(), "127.0.0.1", "accepted", "status 200"),
    ],
)
async def test_certificate_and_host_name_are_checked(
    trusted: ssl.SSLContext | None, host: str, outcome: str, detail: str
) -> None:
    gate, receiver = RecordingFirstByteGuard(), Receiver()
    async with serving(receiver, serving_tls()) as url:
        webhook = WebhookAdapter(settings(url.replace("127.0.0.1", host)), SystemClock(), LOOPBACK, trusted)
        [handed] = await webhook.send_batch([message()], gate)
        await webhook.close()
    assert (handed.outcome, handed.detail) == (outcome, detail)
    assert len(receiver.seen) == len(gate.before_calls) == (outcome == "accepted")


async def test_nothing_written_is_a_retry_and_the_gate_is_not_asked() -> None:
    gate = RecordingFirstByteGuard()
    webhook = WebhookAdapter(settings("http://127.0.0.1:65535/hook"), SystemClock(), LOOPBACK)
    [handed] = await webhook.send_batch([message()], gate)
    await webhook.close()
    assert (handed.outcome, handed.detail, gate.calls) == ("retry", "ClientConnectorError", [])


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"what?\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("answer", [_close, _hang, _nonsense])
async def test_no_answer_after_the_first_byte_is_unknown(answer: Answer) -> None:
    gate = RecordingFirstByteGuard()
    handed, receiver = await send(answer, gate, timeout=0.3)
    assert (handed.outcome, len(receiver.seen)) == ("unknown", 1)
    assert gate.calls == [("before", "msg_1"), ("after", "msg_1")]


async def _flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("answer", "timeout"), [(_flood, 60.0), (_drip, 1.0)])
async def test_an_endless_answer_is_left_unread_and_its_status_counts(answer: Answer, timeout: float) -> None:
    async with asyncio.timeout(10):
        handed, _ = await send(answer, timeout=timeout)
    assert (handed.outcome, handed.provider_id) == ("accepted", None)


async def test_no_more_requests_run_at_once_than_allowed() -> None:
    receiver = Receiver(status(200))
    async with serving(receiver) as url:
        webhook = WebhookAdapter(settings(url, concurrency=3), SystemClock(), LOOPBACK)
        handed = await webhook.send_batch([message(f"msg_{number}") for number in range(30)], RecordingFirstByteGuard())
        await webhook.close()
    assert {each.outcome for each in handed} == {"accepted"}
    assert receiver.most_open <= 3


async def _slowly(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.3)
    writer.write(status(200))


async def test_waiting_for_a_free_connection_uses_up_no_time_of_the_request() -> None:
    async with serving(Receiver(_slowly)) as url:
        webhook = WebhookAdapter(settings(url, concurrency=1, connect_timeout=0.5), SystemClock(), LOOPBACK)
        batches = [webhook.send_batch([message(f"msg_{number}")], RecordingFirstByteGuard()) for number in range(4)]
        handed = [each for batch in await asyncio.gather(*batches) for each in batch]
        await webhook.close()
    assert [each.outcome for each in handed] == ["accepted"] * 4


async def test_cookies_are_not_kept() -> None:
    receiver = Receiver(status(200, "set-cookie: a=b; path=/\r\n"))
    async with serving(receiver) as url:
        webhook = WebhookAdapter(settings(url.replace("127.0.0.1", "localhost")), SystemClock(), LOOPBACK)
        for _ in range(2):
            await webhook.send_batch([message()], RecordingFirstByteGuard())
        await webhook.close()
    assert [headers.get("cookie") for headers, _ in receiver.seen] == [None, None]


@pytest.mark.parametrize(
    "url", ["http://example.org/", "https://10.0.0.1/", "https://user@example.org/", "ftp://x.org"]
)
def test_a_url_that_the_guard_refuses_is_none_for_this_adapter(url: str) -> None:
    with pytest.raises((ValueError, OutboundRefused)):
        WebhookAdapter(settings(url), SystemClock(), OutboundGuard())


async def test_a_name_that_leads_into_this_machine_is_not_connected_to() -> None:
    receiver = Receiver()
    async with serving(receiver, serving_tls()) as url:
        by_name = settings(url.replace("127.0.0.1", "localhost"))
        webhook = WebhookAdapter(by_name, SystemClock(), OutboundGuard(), trusting())
        [handed] = await webhook.send_batch([message()], RecordingFirstByteGuard())
        await webhook.close()
    assert (handed.outcome, handed.detail, receiver.connected) == ("retry", "OutboundRefused", 0)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", "abcdefghijklmnopqrstuvwxyz"])
def test_a_weak_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings("https://example.org", secret=SecretStr(secret))
    assert len(secret) < 8 or secret not in str(caught.value)
