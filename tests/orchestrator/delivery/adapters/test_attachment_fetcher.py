"""Attachments are fetched before the first byte, from the hosts of the settings, and each adapter hands them over."""

from __future__ import annotations

import asyncio
import base64
import email
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.kit.http.outbound import OutboundGuard
from services.orchestrator.delivery.adapters import attachment_fetcher
from services.orchestrator.delivery.adapters.attachment_fetcher import AttachmentFetcher, AttachmentRefused
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.channels.email.attachments import MAX_FILE, Attachment
from services.orchestrator.delivery.channels.email.mail import compose_mail, to_mime
from services.orchestrator.mail_settings import MailSettings
from tests.orchestrator.delivery.adapters import test_mailgun, test_postmark, test_resend, test_sendgrid
from tests.orchestrator.delivery.adapters.test_sendgrid import SCHEMA
from tests.orchestrator.delivery.adapters.test_smtp import adapter_to, parsed
from tests.support.lab_adapters import hand_over as hand_over_to_lab
from tests.support.lab_adapters import lab_adapter
from tests.support.mail_api_fake import (
    CONTENT,
    KEY,
    LOOPBACK,
    SHOP,
    MailApiFake,
    ProviderAccount,
    adapter_module,
    context,
    serving,
)
from tests.support.running_lab import local_lab
from tests.support.servers import free_port
from tests.support.smtp_server import mail_server
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

PDF = b"%PDF-1.7\r\n--=_whole--\r\n\x00\xff"
FILES = MailSettings(
    **{name: getattr(SHOP, name) for name in ("from_address", "from_name", "reply_to", "unsubscribe_address")},
    attachment_hosts="127.0.0.1, files.shop.example",
    attachment_key="attachment-key-0001-and-more",  # type: ignore[arg-type]
)


class FileHost:
    """Serves files, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.held = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.path, request.headers.get("authorization")))
        match request.path:
            case "/terms.pdf" | "/copy.pdf":
                return web.Response(body=PDF)
            case "/held.pdf":
                await self.held.wait()
                return web.Response(body=PDF)
            case "/wrong.pdf":
                return web.Response(body=b"MZ\x90")
            case "/long.pdf":
                return web.Response(body=PDF + bytes(MAX_FILE))
            case "/big1.pdf" | "/big2.pdf":
                return web.Response(body=PDF + bytes(MAX_FILE - 100))
            case "/moved.pdf":
                return web.Response(status=302, headers={"location": "/terms.pdf"})
        return web.Response(status=503 if request.path == "/later.pdf" else 404)


@asynccontextmanager
async def file_host() -> AsyncIterator[FileHost]:
    host = FileHost()
    runner = web.ServerRunner(web.Server(host.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield host
    finally:
        await runner.cleanup()


def files_context(mail: MailSettings = FILES, guard: OutboundGuard = LOOPBACK) -> AdapterContext:
    made = context(test_sendgrid.ACCOUNT, "http://127.0.0.1:1", mail)
    return AdapterContext(made.settings, 2.0, made.database, made.clock, guard, mail)


async def load(urls: str, mail: MailSettings = FILES, guard: OutboundGuard = LOOPBACK) -> tuple[Attachment, ...]:
    fetcher = AttachmentFetcher(files_context(mail, guard))
    try:
        return await fetcher.load(message(content={"attachments": urls}))
    finally:
        await fetcher.close()


async def test_files_come_with_the_key_and_once_for_many_mails() -> None:
    async with file_host() as host:
        fetcher = AttachmentFetcher(files_context())
        for _ in range(3):
            found = await fetcher.load(message(content={"attachments": f"{host.url}/terms.pdf"}))
        await fetcher.close()
    assert found == (Attachment("terms.pdf", "application/pdf", PDF),)
    assert host.asked == [("/terms.pdf", "Bearer attachment-key-0001-and-more")]


@pytest.mark.parametrize(
    ("path", "outcome", "detail"),
    [
        ("/missing.pdf", "retry", "attachment_status_404"),
        ("/later.pdf", "retry", "attachment_status_503"),
        ("/moved.pdf", "retry", "attachment_status_302"),
        ("/wrong.pdf", "rejected", "attachment_wrong_type"),
        ("/long.pdf", "rejected", "attachment_too_large"),
        ("/run.exe", "rejected", "attachment_name"),
    ],
)
async def test_what_cannot_be_attached_is_named_and_what_may_come_is_waited_for(
    path: str, outcome: str, detail: str
) -> None:
    async with file_host() as host:
        with pytest.raises(AttachmentRefused, match=f"^{detail}$") as caught:
            await load(host.url + path)
    result = caught.value.result("msg_1")
    assert (result.outcome, result.fault) == (outcome, "content")
    assert (result.retry_after is not None) == (outcome == "retry")


async def test_all_files_of_a_mail_have_a_limit_together() -> None:
    async with file_host() as host:
        with pytest.raises(AttachmentRefused, match="attachments_too_large"):
            await load(f"{host.url}/big1.pdf {host.url}/big2.pdf")


async def test_nothing_is_asked_of_other_hosts_and_of_addresses_that_the_guard_refuses() -> None:
    async with file_host() as host:
        for mail, guard, detail in (
            (SHOP, LOOPBACK, "attachment_host_not_allowed"),
            (FILES, OutboundGuard(), "attachment_address"),
        ):
            with pytest.raises(AttachmentRefused, match=detail):
                await load(f"{host.url}/terms.pdf", mail, guard)
        with pytest.raises(AttachmentRefused, match="attachment_host_not_allowed"):
            await load(f"{host.url}/terms.pdf".replace("127.0.0.1", "127.0.0.2"))
    assert host.asked == []


async def test_a_host_that_is_away_is_waited_for() -> None:
    with pytest.raises(AttachmentRefused, match="attachment_ClientConnectorError") as caught:
        await load(f"http://127.0.0.1:{free_port()}/terms.pdf")
    assert caught.value.outcome == "retry"


async def test_a_host_that_does_not_answer_is_left_alone_for_a_while() -> None:
    fetcher, port = AttachmentFetcher(files_context()), free_port()
    mail = message(content={"attachments": f"http://127.0.0.1:{port}/terms.pdf"})
    with pytest.raises(AttachmentRefused, match="attachment_ClientConnectorError"):
        await fetcher.load(mail)
    with pytest.raises(AttachmentRefused, match="attachment_host_away") as caught:
        await fetcher.load(mail)
    assert caught.value.outcome == "retry"
    await fetcher.close()


async def test_files_are_forgotten_after_their_time_also_when_no_mail_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment_fetcher, "KEPT_SECONDS", 0.05)
    async with file_host() as host:
        fetcher = AttachmentFetcher(files_context())
        await fetcher.load(message(content={"attachments": f"{host.url}/terms.pdf"}))
        assert fetcher._kept
        await asyncio.sleep(0.2)
        assert not fetcher._kept
        await fetcher.close()


# --- what adapters make of them ---


async def hand_over(account: ProviderAccount, paths: str = "/terms.pdf") -> tuple[Any, MailApiFake, FileHost]:
    fake = MailApiFake(account)
    async with file_host() as host, serving(fake) as url:
        adapter = adapter_module(account).create_adapter(context(account, url, FILES))
        urls = " ".join(host.url + path for path in paths.split())
        guard = RecordingFirstByteGuard()
        [result] = await adapter.send_batch([message(content={**CONTENT, "attachments": urls})], guard)
        await adapter.close()
    return result, fake, host


ENCODED = base64.b64encode(PDF).decode()
SHAPES = [
    (
        test_sendgrid.ACCOUNT,
        "attachments",
        {"content": ENCODED, "type": "application/pdf", "filename": "terms.pdf"},
    ),
    (
        test_postmark.ACCOUNT,
        "Attachments",
        {"Name": "terms.pdf", "Content": ENCODED, "ContentType": "application/pdf"},
    ),
    (
        test_resend.ACCOUNT,
        "attachments",
        {"filename": "terms.pdf", "content": ENCODED, "content_type": "application/pdf"},
    ),
]


@pytest.mark.parametrize(("account", "field", "shape"), SHAPES, ids=lambda each: getattr(each, "id", ""))
async def test_providers_get_files_in_their_form(account: ProviderAccount, field: str, shape: dict[str, str]) -> None:
    result, fake, _ = await hand_over(account)
    assert result.outcome == "accepted" and fake.bodies[0][field] == [shape]
    if account is test_sendgrid.ACCOUNT:
        assert [error.message for error in SCHEMA.iter_errors(fake.bodies[0])] == []


async def test_mailgun_gets_files_in_a_form_of_several_parts() -> None:
    result, fake, _ = await hand_over(test_mailgun.ACCOUNT, "/terms.pdf /copy.pdf")
    assert result.outcome == "accepted"
    body = fake.bodies[0]
    assert (body["subject"], body["to"], body["v:tactful_message"]) == ("Grüße", "ada@example.org", "msg_1")
    assert body["files"] == [("terms.pdf", "application/pdf", PDF), ("copy.pdf", "application/pdf", PDF)]


@pytest.mark.parametrize("provider", ["sendgrid", "postmark", "resend", "mailgun"])
async def test_the_lab_takes_mails_with_files_as_the_providers_do(tmp_path: Path, provider: str) -> None:
    async with file_host() as host, local_lab(tmp_path) as lab, lab_adapter(lab, provider, mail=FILES) as adapter:
        result = await hand_over_to_lab(adapter, content={**CONTENT, "attachments": f"{host.url}/terms.pdf"})
    assert result.outcome == "accepted", result


@pytest.mark.parametrize("account", [each[0] for each in SHAPES], ids=lambda each: each.id)
async def test_mails_without_files_do_not_wait_for_the_files_of_others(account: ProviderAccount) -> None:
    fake = MailApiFake(account)
    async with file_host() as host, serving(fake) as url:
        adapter = adapter_module(account).create_adapter(context(account, url, FILES))
        held = [
            message(f"msg_{number}", content={**CONTENT, "attachments": f"{host.url}/held.pdf?{number}"})
            for number in range(64)
        ]
        sending = asyncio.create_task(adapter.send_batch([*held, message("msg_plain")], RecordingFirstByteGuard()))
        async with asyncio.timeout(5):
            while not fake.bodies:
                await asyncio.sleep(0.01)
        assert not sending.done()
        host.held.set()
        results = await sending
        await adapter.close()
    assert [each.message_id for each in results] == [*(f"msg_{number}" for number in range(64)), "msg_plain"]
    assert {each.outcome for each in results} == {"accepted"} and len(fake.bodies) == 65


async def test_mails_without_files_do_not_wait_for_the_files_of_others_on_smtp() -> None:
    async with file_host() as host, mail_server() as (server, port):
        smtp = adapter_to(port, connections=2, mail=FILES, attachments=AttachmentFetcher(files_context()))
        held = [
            message(f"msg_{number}", content={**CONTENT, "attachments": f"{host.url}/held.pdf?{number}"})
            for number in range(8)
        ]
        sending = asyncio.create_task(smtp.send_batch([*held, message("msg_plain")], RecordingFirstByteGuard()))
        async with asyncio.timeout(5):
            while not server.accepted:
                await asyncio.sleep(0.01)
        host.held.set()
        assert {each.outcome for each in await sending} == {"accepted"}
        await smtp.close()


@pytest.mark.parametrize("account", [each[0] for each in SHAPES] + [test_mailgun.ACCOUNT], ids=lambda each: each.id)
async def test_a_mail_whose_file_cannot_be_had_waits_and_nothing_is_written(account: ProviderAccount) -> None:
    result, fake, _ = await hand_over(account, "/later.pdf")
    assert (result.outcome, result.fault, result.detail) == ("retry", "content", "attachment_status_503")
    assert fake.bodies == []


async def test_a_whole_mail_carries_its_files_after_its_texts() -> None:
    async with file_host() as host, mail_server() as (server, port):
        smtp = adapter_to(port, mail=FILES, attachments=AttachmentFetcher(files_context()))
        content = {**CONTENT, "attachments": f"{host.url}/terms.pdf"}
        [kept, lost] = await smtp.send_batch(
            [message("msg_1", content=content), message("msg_2", content={**content, "attachments": host.url})],
            RecordingFirstByteGuard(),
        )
        await smtp.close()
    assert (kept.outcome, lost.outcome, lost.detail) == ("accepted", "rejected", "attachment_name")
    mail = parsed(server)
    assert mail.get_content_type() == "multipart/mixed"
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type(), file.get_content()) == ("terms.pdf", "application/pdf", PDF)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and html is not None and html.get_content().strip() == "<p>Hällo</p>"


def test_a_mail_with_files_is_read_as_it_was_written_and_no_name_ends_a_header() -> None:
    text = Attachment("a b.txt", "text/plain", ("Grüße\n" * 500).encode())
    whole = to_mime(compose_mail(message(content=CONTENT), SHOP, (text,)), 0)
    [file] = email.message_from_bytes(whole, policy=default).iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("a b.txt", "Grüße\n" * 500)
    assert max(map(len, whole.split(b"\r\n"))) <= 78 and b"\n" not in whole.replace(b"\r\n", b"")
    for name in ('a".pdf', "a\r\nBcc: x.pdf"):
        with pytest.raises(ValueError):
            to_mime(compose_mail(message(content=CONTENT), SHOP, (Attachment(name, "text/plain", b"x"),)), 0)


def test_the_key_of_attachments_is_not_shown() -> None:
    assert "attachment-key" not in repr(FILES) and "attachment-key" not in json.dumps(FILES.model_dump(mode="json"))
    assert KEY not in repr(FILES)
