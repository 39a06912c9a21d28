"""The SMTP adapter against a real server: TLS, what each refusal means, what was written when something breaks."""

import asyncio
import email
import email.policy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import uvloop

from schemas.message import HandoverResult, Message
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import ManualClock, SystemClock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.smtp.adapter import SmtpAdapter, create_adapter
from services.orchestrator.delivery.adapters.smtp.connection import SmtpServer
from services.orchestrator.delivery.adapters.smtp.declaration import DECLARATION, SmtpSettings
from services.orchestrator.delivery.adapters.smtp.envelope import stuff_dots
from services.orchestrator.delivery.adapters.smtp.replies import find_queue_id
from services.orchestrator.mail_settings import MailSettings
from tests.support.certificates import Authority
from tests.support.smtp_server import MailServer, ScriptedServer, always, mail_server, only, scripted_server
from tests.support.webhook_receiver import CERTIFICATE, RecordingFirstByteGuard, message, trusting

LOOPBACK = OutboundGuard(parse_networks("127.0.0.0/8"))
MAIL = MailSettings(from_address="shop@shop.example", from_name="Shop")


def adapter_to(port: int, security: str = "starttls", **fields: Any) -> SmtpAdapter:
    own = {
        name: fields.pop(name)
        for name in ("connections", "return_path", "max_idle", "mail", "attachments")
        if name in fields
    }
    server = SmtpServer(
        host="127.0.0.1",
        port=port,
        outbound=LOOPBACK,
        tls=None if security == "none" else trusting(),
        starttls=security == "starttls",
        login=None,
        hello="shop.example",
        timeout=5.0,
    )
    return SmtpAdapter(replace(server, **fields), own.pop("mail", MAIL), SystemClock(), **own)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[SmtpAdapter]:
    """For tests/contracts/test_adapters.py."""
    async with mail_server() as (_, port):
        yield adapter_to(port)


async def send(
    server: MailServer | None = None, count: int = 1, security: str = "starttls", **fields: Any
) -> tuple[list[HandoverResult], MailServer]:
    """What becomes of so many mails, one at a time over one connection."""
    async with mail_server(server, security) as (kept, port):
        smtp = adapter_to(port, security, connections=1, **fields)
        handed = await smtp.send_batch([message(f"msg_{each}") for each in range(count)], RecordingFirstByteGuard())
        await smtp.close()
    return handed, kept


def parsed(server: MailServer) -> EmailMessage:
    content = server.accepted[-1].content
    assert isinstance(content, bytes)
    found = email.message_from_bytes(content, policy=email.policy.SMTP)
    assert isinstance(found, EmailMessage)
    return found


# --- what is sent ---


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_a_mail_arrives_as_it_was_composed(security: str) -> None:
    [handed], server = await send(security=security)
    assert handed == HandoverResult("msg_0", "accepted", "4F1A0001")
    [kept], mail = server.accepted, parsed(server)
    assert (kept.mail_from, kept.rcpt_tos) == ("shop@shop.example", ["ada@example.org"])
    assert mail["From"] == "Shop <shop@shop.example>" and mail["X-Tactful-Message"] == "msg_0"


async def test_other_alphabets_and_lines_that_begin_with_dots_arrive() -> None:
    text = "Grüße, Łukasz 👩‍👩‍👧\n.\n..two\nMAIL FROM:<x@y>\r.\rstill here"
    content = {"subject": "Schön, 東京 👋", "html": f"<p>{text}</p>", "text": text}
    async with mail_server() as (server, port):
        smtp = adapter_to(port)
        [handed] = await smtp.send_batch([message(content=content, to="ada@bücher.example")], RecordingFirstByteGuard())
        await smtp.close()
    assert handed.outcome == "accepted" and len(server.accepted) == 1
    assert server.accepted[0].rcpt_tos == ["ada@xn--bcher-kva.example"]
    mail = parsed(server)
    body = mail.get_body(("plain",))
    assert mail["Subject"] == "Schön, 東京 👋" and body is not None
    assert body.get_content().splitlines()[:4] == ["Grüße, Łukasz 👩‍👩‍👧", ".", "..two", "MAIL FROM:<x@y>"]


@pytest.mark.parametrize(
    ("mime", "written"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b".a\n.\r.\r\n", b"..a\r\n..\r\n..\r\n"),
        (b"a.\r\n\r\n.b", b"a.\r\n\r\n..b\r\n"),
    ],
)
def test_no_content_can_end_itself(mime: bytes, written: bytes) -> None:
    assert stuff_dots(mime) == written


async def test_bounces_go_to_the_return_path() -> None:
    _, server = await send(return_path="bounces@shop.example")
    assert server.accepted[0].mail_from == "bounces@shop.example"
    assert parsed(server)["From"] == "Shop <shop@shop.example>"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"content": {"subject": "Hi\r\nBcc: eve@example.org", "html": "x", "text": "x"}}, "content"),
        ({"content": {"subject": "Hi"}}, "content"),
        ({"content": {"subject": "Hi", "html": "\ud800", "text": "x"}}, "content"),
        ({"to": "ada@example.org> NOTIFY=NEVER"}, "address"),
        ({"to": "ada@example.org\r\nDATA"}, "address"),
        ({"to": "zoë@example.org"}, "address"),
        ({"to": "ada"}, "address"),
    ],
)
async def test_what_cannot_be_written_is_refused_before_the_server_hears_of_it(
    fields: dict[str, Any], fault: str
) -> None:
    async with mail_server() as (server, port):
        smtp = adapter_to(port)
        [handed] = await smtp.send_batch([message(**fields)], RecordingFirstByteGuard())
    assert (handed.outcome, handed.fault) == ("rejected", fault) and server.connections == 0
    assert "example" not in repr(handed)


async def test_without_a_sender_the_mail_waits_for_one() -> None:
    [handed], _ = await send(mail=MailSettings())
    assert (handed.outcome, handed.fault) == ("retry", "account")


# --- what replies mean ---


@pytest.mark.parametrize(
    ("command", "reply", "outcome", "fault"),
    [
        ("MAIL", "550 5.7.1 Sender shop@shop.example not owned", "retry", "account"),
        ("MAIL", "553 5.1.8 Sender domain unknown", "retry", "account"),
        ("MAIL", "530 5.7.0 Authentication required", "retry", "account"),
        ("MAIL", "552 5.3.4 Too large", "rejected", "content"),
        ("MAIL", "451 4.3.0 Try later", "retry", "throttle"),
        ("RCPT", "550 5.1.1 <ada@example.org>: User unknown", "rejected", "address"),
        ("RCPT", "550 5.1.10 Null MX", "rejected", "address"),
        ("RCPT", "550 5.2.1 Mailbox disabled", "rejected", "address"),
        ("RCPT", "550 No such user here: ada@example.org", "rejected", "address"),
        ("RCPT", "550 Not taken", "rejected", None),
        ("RCPT", "552 5.2.2 Mailbox full", "rejected", None),
        ("RCPT", "554 5.7.1 Relay access denied", "retry", "account"),
        ("RCPT", "450 4.7.1 Greylisted", "retry", "throttle"),
        ("RCPT", "452 4.2.2 Over quota", "retry", None),
        ("RCPT", "450 5.1.1 Milder than it says", "retry", "throttle"),
        ("DATA", "554 5.7.1 Spam", "rejected", "content"),
        ("DATA", "550 5.7.26 Not authenticated by DMARC", "retry", "account"),
        ("DATA", "554 Refused", "rejected", "content"),
        ("DATA", "550 5.1.1 No such mailbox", "rejected", "address"),
        ("DATA", "451 4.7.0 Later", "retry", "throttle"),
        ("DATA", "421 4.3.2 Going down", "retry", "throttle"),
    ],
)
async def test_each_refusal_has_its_meaning_and_keeps_no_other_mail(
    command: str, reply: str, outcome: str, fault: str | None
) -> None:
    handed, server = await send(MailServer({command: only(2, reply)}), 3)
    assert (handed[1].outcome, handed[1].fault) == (outcome, fault)
    assert handed[0].outcome == handed[2].outcome == "accepted" and len(server.accepted) == 2
    stage = {"MAIL": "sender", "RCPT": "recipient", "DATA": "content"}[command]
    assert str(handed[1].detail).startswith(f"{stage} {reply[:3]}") and "example" not in repr(handed)


async def test_a_refused_mail_leaves_the_connection_usable() -> None:
    _, server = await send(MailServer({"RCPT": only(2, "550 5.1.1 Unknown")}), 3)
    assert (server.connections, server.counts["RSET"]) == (1, 1)


async def test_a_connection_that_does_not_forget_a_refused_mail_is_closed() -> None:
    handed, server = await send(MailServer({"RCPT": only(2, "550 5.1.1 Unknown"), "RSET": always("500 5.5.1 What")}), 3)
    assert [each.outcome for each in handed] == ["accepted", "rejected", "accepted"] and server.connections == 2


async def test_a_refused_login_is_the_accounts_fault_and_is_not_tried_for_every_mail() -> None:
    handed, server = await send(MailServer(users={"shop": "secret"}), 40, login=("shop", "wrong"))
    assert {(each.outcome, each.fault, each.detail) for each in handed} == {("retry", "account", "login 535 5.7.8")}
    assert server.connections == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_login_is_made_once_a_connection(security: str) -> None:
    handed, server = await send(MailServer(users={"shop": "secret"}), 3, security, login=("shop", "secret"))
    assert [each.outcome for each in handed] == ["accepted"] * 3 and server.connections == 1


async def test_a_login_where_the_server_takes_none_is_the_accounts_fault() -> None:
    [handed], server = await send(security="tls", login=("shop", "secret"))
    assert (handed.outcome, handed.fault, handed.detail) == ("retry", "account", "login 504")
    assert server.accepted == []


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("2.0.0 Ok: queued as 4WxYz12345", "4WxYz12345"),
        ("OK id=1tHq2x-0001AB-2c", "1tHq2x-0001AB-2c"),
        ("2.0.0 OK  1732968000 5b1f17b1804b1-4349b3c4d5e.12 - gsmtp", "5b1f17b1804b1-4349b3c4d5e.12"),
        ("2.6.0 <a@b.example> [InternalId=123456, Hostname=mx] Queued mail for delivery", "123456"),
        ("2.0.0 4AUC1x2y012345 Message accepted for delivery", "4AUC1x2y012345"),
        ("Ok 0100019379a0b1c2-6f0e-000000", "0100019379a0b1c2-6f0e-000000"),
        ("2.0.0 Ok", None),
        ("2.0.0 Thank you, ada@example.org", None),
        ("Ok: queued as " + "x" * 300, None),
    ],
)
def test_the_servers_own_id_is_kept_where_its_form_is_known(text: str, id: str | None) -> None:
    assert find_queue_id(text) == id


# --- TLS, and where connections lead ---


async def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    script = ScriptedServer(extensions=("AUTH PLAIN LOGIN",))
    async with scripted_server(script) as port:
        smtp = adapter_to(port, login=("shop", "secret"))
        [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
    assert (handed.outcome, handed.detail) == ("retry", "connect: the server does not offer STARTTLS")
    assert {each.split()[0] for each in script.commands} <= {b"EHLO", b"QUIT"}


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_a_stranger_or_for_another_host_is_refused(security: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = trusting()
    context.load_verify_locations(authority.file)
    stranger = adapter_context(security=security, ca_file=authority.file)
    async with mail_server(security=security) as (server, port):
        by_ca = create_adapter(replace(stranger, settings=stranger.settings.model_copy(update={"port": port})))
        by_host = adapter_to(port, security, host="localhost")
        for smtp in (by_ca, by_host):
            [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
            assert (handed.outcome, handed.detail) == ("retry", "connect SSLCertVerificationError")
    assert server.accepted == []


async def test_the_guard_sees_the_address_that_is_connected_to() -> None:
    async with mail_server() as (server, port):
        smtp = adapter_to(port, host="localhost", outbound=OutboundGuard())
        [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
    assert (handed.outcome, handed.detail, server.connections) == ("retry", "connect OutboundRefused", 0)


async def test_a_host_that_is_no_name_raises_nothing() -> None:
    [handed] = await adapter_to(25, host="mx..example").send_batch([message()], RecordingFirstByteGuard())
    assert (handed.outcome, handed.detail) == ("retry", "connect UnicodeError")


async def test_a_server_that_is_away_is_asked_once_for_a_batch_and_connection() -> None:
    async with scripted_server(ScriptedServer(greeting=b"554 5.7.1 Not you\r\n")) as port:
        smtp = adapter_to(port, "none")
        handed = await smtp.send_batch([message(f"msg_{each}") for each in range(40)], RecordingFirstByteGuard())
        assert {(each.outcome, each.fault, each.detail) for each in handed} == {
            ("retry", "account", "connect 554 5.7.1")
        }
    started = time.monotonic()
    handed = await smtp.send_batch([message(f"msg_{each}") for each in range(40)], RecordingFirstByteGuard())
    assert {(each.outcome, each.detail) for each in handed} == {("retry", "connect ConnectionRefusedError")}
    assert time.monotonic() - started < 1


# --- what was written when something breaks ---


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("size", [0, 8_000_000])
def test_a_connection_lost_before_the_final_dot_is_a_retry_and_after_it_unknown(loop: Any, size: int) -> None:
    async def lose(script: ScriptedServer) -> HandoverResult:
        content = {"subject": "Hi", "html": "x" * size, "text": "Hi"}
        async with scripted_server(script) as port:
            smtp = adapter_to(port, "none")
            [handed] = await smtp.send_batch([message(content=content)], RecordingFirstByteGuard())
            return handed

    with asyncio.Runner(loop_factory=loop) as runner:
        if size:  # more than the kernel takes at once, so that the dot has not left yet
            assert runner.run(lose(ScriptedServer(content_bytes=1000))).outcome == "retry"
        else:
            after = runner.run(lose(ScriptedServer()))
            assert (after.outcome, after.detail) == ("unknown", "SMTPServerDisconnected")


async def test_a_server_that_takes_the_mail_and_says_nothing_leaves_it_unknown() -> None:
    [handed], server = await send(MailServer(drop_after_dot=True))
    assert handed.outcome == "unknown" and len(server.accepted) == 1


@pytest.mark.parametrize("last", [b"nonsense\r\n", b"354 Go on\r\n", b"999 What\r\n"])
async def test_an_answer_to_the_content_that_is_none_leaves_it_unknown(last: bytes) -> None:
    async with scripted_server(ScriptedServer(last=last)) as port:
        smtp = adapter_to(port, "none")
        [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
        await smtp.close()
    assert handed.outcome == "unknown"


async def test_a_slow_server_is_unknown_after_the_content_and_a_retry_before() -> None:
    async def serve_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(serve_nothing, "127.0.0.1", 0)
    smtp = adapter_to(silent.sockets[0].getsockname()[1], "none", timeout=0.2)
    [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
    silent.close()
    assert (handed.outcome, handed.detail) == ("retry", "connect TimeoutError")
    async with scripted_server(ScriptedServer(content_bytes=10_000_000)) as port:  # it waits for more
        smtp = adapter_to(port, "none", timeout=0.2)
        [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
    assert (handed.outcome, handed.detail) == ("unknown", "TimeoutError")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_mail_past_its_deadline_is_broken_off_before_its_content(loop: Any) -> None:
    async def run() -> None:
        script = ScriptedServer()
        async with scripted_server(script) as port:
            smtp, guard = adapter_to(port, "none"), RecordingFirstByteGuard(late={"msg_1"})
            [handed] = await smtp.send_batch([message()], guard)
            await asyncio.sleep(0.05)
        assert (handed.outcome, handed.detail) == ("retry", "past_deadline")
        assert script.commands[-1] == b"DATA\r\n" and script.read == 0 and guard.calls == []

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def test_a_batch_past_its_deadline_does_not_cost_a_connection_for_each_mail() -> None:
    async with mail_server() as (server, port):
        smtp, ids = adapter_to(port, connections=2), [f"msg_{each}" for each in range(40)]
        handed = await smtp.send_batch([message(id) for id in ids], RecordingFirstByteGuard(late=set(ids)))
        await smtp.close()
    assert [(each.message_id, each.detail) for each in handed] == [(id, "past_deadline") for id in ids]
    assert server.connections == 4 and server.accepted == []


async def test_a_cancelled_batch_leaves_no_connection_behind() -> None:
    script = ScriptedServer(content_bytes=10_000_000)
    async with scripted_server(script) as port:
        smtp, guard = adapter_to(port, "none"), RecordingFirstByteGuard()
        task = asyncio.create_task(smtp.send_batch([message()], guard))
        while not guard.after_calls:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert smtp._pool._idle == [] and smtp._pool._slots._value == 4  # nothing is lent out


# --- the pool ---


async def test_a_connection_carries_a_hundred_mails_and_then_says_goodbye() -> None:
    handed, server = await send(count=250)
    assert {each.outcome for each in handed} == {"accepted"}
    await asyncio.sleep(0.05)
    assert server.connections == 3 and server.counts["QUIT"] >= 2


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with mail_server() as (server, port):
        smtp = adapter_to(port, max_idle=0.1)
        await smtp.send_batch([message()], RecordingFirstByteGuard())
        await asyncio.sleep(0.4)
        assert server.counts["QUIT"] == 1
        await smtp.send_batch([message("msg_2")], RecordingFirstByteGuard())
        assert server.connections == 2
        await smtp.close()


async def test_mails_go_over_as_many_connections_as_are_set_and_batches_share_them() -> None:
    async with mail_server() as (server, port):
        smtp = adapter_to(port, connections=3)
        batches = [[message(f"msg_{batch}_{each}") for each in range(10)] for batch in range(4)]
        handed = await asyncio.gather(*(smtp.send_batch(batch, RecordingFirstByteGuard()) for batch in batches))
        await smtp.close()
    assert {each.outcome for batch in handed for each in batch} == {"accepted"}
    assert server.connections == 3 and len(server.accepted) == 40


async def test_a_server_that_closes_with_421_in_the_middle_gets_the_mail_on_a_new_connection() -> None:
    for reply in (only(2, "421 4.7.0 Enough for this connection"), only(3, "421 4.3.2 Bye")):
        handed, server = await send(MailServer({"MAIL": reply}), 4)
        assert [each.outcome for each in handed] == ["accepted"] * 4 and server.connections == 2
        assert len(server.accepted) == 4


async def test_a_new_connection_that_is_answered_421_means_too_much_at_once() -> None:
    handed, _ = await send(MailServer({"MAIL": always("421 4.7.0 Too many connections")}), 2)
    assert {(each.outcome, each.fault) for each in handed} == {("retry", "throttle")}


async def test_connections_that_the_server_has_lost_cost_no_mail() -> None:
    async with mail_server() as (server, port):
        smtp = adapter_to(port)
        for round in range(3):
            batch = [message(f"msg_{round}_{each}") for each in range(8)]
            handed = await smtp.send_batch(batch, RecordingFirstByteGuard())
            assert {each.outcome for each in handed} == {"accepted"}
            server.drop_all()
        await smtp.close()
    assert len(server.accepted) == 24


async def test_throughput_is_printed() -> None:
    batch: list[Message] = [message(f"msg_{each}") for each in range(400)]
    for security, connections in (("starttls", 1), ("starttls", 4), ("none", 1)):
        async with mail_server(security=security) as (server, port):
            smtp, started = adapter_to(port, security, connections=connections), time.perf_counter()
            await smtp.send_batch(batch, RecordingFirstByteGuard())
            seconds = time.perf_counter() - started
            await smtp.close()
            assert len(server.accepted) == 400
        print(f"{security}, {connections} connections: {400 / seconds:.0f} mails/s, server in the same process")


# --- settings ---


def adapter_context(**fields: Any) -> AdapterContext:
    settings = SmtpSettings.model_validate({"host": "127.0.0.1", **fields})
    return AdapterContext(settings, 5.0, Database.__new__(Database), ManualClock(0), LOOPBACK, MAIL)


@pytest.mark.parametrize(
    ("fields", "changes", "text"),
    [
        ({"host": None}, {}, "TACTFUL_SMTP__HOST is not set"),
        ({"host": "10.0.0.7"}, {}, "TACTFUL_SMTP__HOST: 10.0.0.7 is an address that is not called from here"),
        ({"host": "mail server"}, {}, "TACTFUL_SMTP__HOST: "),
        ({"host": "1.1.1.1", "security": "none"}, {}, "TACTFUL_SMTP__SECURITY: `none` is for a server in"),
        ({"ca_file": "/nowhere.pem"}, {}, "TACTFUL_SMTP__CA_FILE"),
    ],
)
async def test_settings_that_cannot_work_stop_the_start(
    fields: dict[str, Any], changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        create_adapter(replace(adapter_context(**fields), **changes))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"port": 22}, "port 22 is of another protocol"),
        ({"user": "shop"}, "needs TACTFUL_SMTP__PASSWORD"),
        ({"password": "secret"}, "needs TACTFUL_SMTP__USER"),
        ({"security": "none", "ca_file": "/ca.pem"}, "has no effect"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SmtpSettings.model_validate(fields)


async def test_declared_settings_make_an_adapter_that_sends() -> None:
    async with mail_server(MailServer(users={"shop": "secret"})) as (server, port):
        smtp = create_adapter(adapter_context(port=port, ca_file=CERTIFICATE, user="shop", password="secret"))
        [handed] = await smtp.send_batch([message()], RecordingFirstByteGuard())
        await smtp.close()
    assert handed.outcome == "accepted" and server.accepted[0].mail_from == "shop@shop.example"


def test_doctor_says_what_is_set_and_never_the_password() -> None:
    assert DECLARATION.check(SmtpSettings()).remedy == "set TACTFUL_SMTP__HOST"
    settings = SmtpSettings.model_validate({"host": "mx.example", "user": "shop", "password": "canary"})
    found = DECLARATION.check(settings)
    assert found.remedy is None
    assert found.detail == "smtp to mx.example:587, starttls, with a login"
    assert "canary" not in repr((settings, found))
