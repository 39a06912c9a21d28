"""A real SMTP server (aiosmtpd) on this machine that can refuse at every stage, and a scripted one that misbehaves."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.webhook_receiver import serving_tls

ReplyOf = Callable[[int], str | None]
"""The number of the command of its kind, from 1 -> the reply; None for the usual one."""


def always(reply: str) -> ReplyOf:
    return lambda number: reply


def only(number: int, reply: str) -> ReplyOf:
    return lambda each: reply if each == number else None


def _abort(protocol: SMTP) -> None:
    if protocol.transport is not None:
        cast(asyncio.WriteTransport, protocol.transport).abort()


@dataclass
class MailServer:
    """Keeps what it accepts. `replies`: what it says to MAIL, RCPT or DATA (after the final dot) in place of yes."""

    replies: dict[str, ReplyOf] = field(default_factory=dict)
    accepted: list[Envelope] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    drop_after_dot: bool = False
    users: dict[str, str] = field(default_factory=dict)
    protocols: list[SMTP] = field(default_factory=list)

    def drop_all(self) -> None:
        """Loses every connection, as a server does that is restarted."""
        for each in self.protocols:
            _abort(each)

    def _count(self, command: str) -> str | None:
        self.counts[command] = self.counts.get(command, 0) + 1
        reply_of = self.replies.get(command)
        return reply_of(self.counts[command]) if reply_of else None

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if reply := self._count("MAIL"):
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if reply := self._count("RCPT"):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return self._count("RSET") or "250 2.0.0 Ok"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self._count("QUIT")
        return "221 2.0.0 Bye"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.drop_after_dot:
            _abort(server)
        if reply := self._count("DATA"):
            return reply
        self.accepted.append(envelope)
        return f"250 2.0.0 Ok: queued as 4F1A{len(self.accepted):04}"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        known = self.users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=known, handled=False)


@asynccontextmanager
async def mail_server(
    behaviour: MailServer | None = None, security: str = "starttls", **options: Any
) -> AsyncIterator[tuple[MailServer, int]]:
    """The server on a free port; (what it keeps, the port). `security`: starttls, tls or none."""
    server = behaviour or MailServer()
    tls = serving_tls()
    if server.users:
        options.update(authenticator=server.authenticate, auth_required=True, auth_require_tls=security == "starttls")
    if security == "starttls":
        options.update(tls_context=tls, require_starttls=True)

    def create_protocol() -> SMTP:
        server.connections += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that AUTH without STARTTLS is unwise
            protocol = SMTP(server, hostname="mx.example", ident="test", **options)
        server.protocols.append(protocol)
        return protocol

    listener = await asyncio.get_running_loop().create_server(
        create_protocol, "127.0.0.1", 0, ssl=tls if security == "tls" else None
    )
    try:
        yield server, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        server.drop_all()
        await asyncio.sleep(0)


@dataclass
class ScriptedServer:
    """Speaks plain SMTP and reads `content_bytes` of a content (None: up to the final dot), then says `last` and, if
    that is empty, closes the connection. `greeting`: what it says first.
    """

    greeting: bytes = b"220 mx.example ESMTP\r\n"
    content_bytes: int | None = None
    last: bytes = b""
    extensions: tuple[str, ...] = ()
    commands: list[bytes] = field(default_factory=list)
    read: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.write(self.greeting)
            while line := await reader.readline():
                self.commands.append(line)
                if line.startswith(b"EHLO"):
                    lines = ["mx.example", *self.extensions]
                    writer.write("".join(f"250-{each}\r\n" for each in lines).encode() + b"250 HELP\r\n")
                elif line.startswith(b"DATA"):
                    writer.write(b"354 Go on\r\n")
                    self.read += len(await self._read_content(reader))
                    if not self.last:
                        break
                    writer.write(self.last)
                else:
                    writer.write(b"250 Ok\r\n")
        writer.transport.abort()

    async def _read_content(self, reader: asyncio.StreamReader) -> bytes:
        if self.content_bytes is None:
            return await reader.readuntil(b"\r\n.\r\n")
        return await reader.readexactly(self.content_bytes)


@asynccontextmanager
async def scripted_server(script: ScriptedServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    listener = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=tls, limit=2**20)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
