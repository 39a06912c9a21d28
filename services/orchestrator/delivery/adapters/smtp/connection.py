"""One connection to the server: how it is opened, and how one mail at a time goes over it.

The point of no return of a mail is its content. Sender and recipient may be named and taken back, and a server must not
deliver what does not end with the final dot (RFC 5321, 4.1.1.4). So the first-byte guard is asked between the server's
word that it waits for the content (354) and the first byte of the content, with nothing in between that waits. Asked
before MAIL FROM, it would have to stay armed over three replies of the server.

The final dot is written only when the content has left. So a connection that is lost earlier leaves no doubt: the mail
has not been sent. Lost later, before the reply, nobody knows.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

import aiosmtplib

from services.kit.http.outbound import OutboundGuard
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.provider_http import NoAnswer, NotWritten
from services.orchestrator.delivery.adapters.smtp.envelope import MailEnvelope
from services.orchestrator.delivery.adapters.smtp.replies import Reply, Stage

CONNECT_SECONDS: Final = 3.0
"""Seconds that one address of the server has to take the connection."""
_QUIT_SECONDS: Final = 1.0
"""Seconds that the server has to answer a goodbye."""
_DRAIN_SECONDS: Final = 0.01
"""Seconds between looks whether a content that the network does not take at once has left."""

_BROKEN: Final = (aiosmtplib.SMTPException, OSError, ValueError)
"""What the library raises where the conversation breaks down. A timeout is an OSError; a host's name, or a challenge
at the login, that cannot be decoded a ValueError.
"""


class MailRefused(Exception):
    """The server refuses the mail, or the connection."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.detail)
        self.reply = reply


@dataclass(frozen=True)
class SmtpServer:
    """The server, and how it is reached. `tls`: None without TLS. `timeout`: seconds for opening a connection, for
    all that precedes a content, and for the content with its reply.
    """

    host: str
    port: int
    outbound: OutboundGuard
    tls: ssl.SSLContext | None
    starttls: bool
    login: tuple[str, str] | None
    hello: str
    """What this client calls itself."""
    timeout: float


class SmtpConnection:
    """An open connection. A mail that fails in a way that leaves the conversation in doubt closes it."""

    def __init__(self, client: aiosmtplib.SMTP, timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._dot_written = False
        self.content_begun = False
        """Whether a byte of the content of the last mail may have left."""
        self.mails = 0
        """How many were begun."""
        self.idle_since = 0.0
        """When it was given back, by the loop's clock."""

    @property
    def is_open(self) -> bool:
        """Whether mails can go over it, as far as this end knows."""
        return self._client.is_connected

    async def close(self) -> None:
        """Says goodbye and closes."""
        try:
            async with asyncio.timeout(_QUIT_SECONDS):
                if self.is_open:
                    await self._client.execute_command(b"QUIT")
        except (aiosmtplib.SMTPException, OSError):
            pass
        finally:
            self._client.close()

    def abort(self) -> None:
        """Closes at once; what has not left is discarded."""
        if self._client.transport is not None:
            cast(asyncio.WriteTransport, self._client.transport).abort()
        self._client.close()

    async def submit(self, mail: MailEnvelope, first_byte: FirstByteGuard) -> str:
        """The text of the reply that accepts the mail. Raises MailRefused, NotWritten, NoAnswer, PastDeadline."""
        self.mails += 1
        self._dot_written = self.content_begun = False
        try:
            async with asyncio.timeout(self._timeout):
                await self._send_envelope(mail)
            async with asyncio.timeout(self._timeout):
                return await self._send_content(mail, first_byte)
        except MailRefused:
            await self._reset()
            raise
        except _BROKEN as error:
            self.abort()
            raise (NoAnswer if self._dot_written else NotWritten)(describe_error(error)) from error
        except BaseException:
            self.abort()
            raise

    async def _send_envelope(self, mail: MailEnvelope) -> None:
        size = [b"SIZE=%d" % len(mail.content)] if self._client.supports_extension("size") else []
        await self._command(Stage.SENDER, 250, b"MAIL", b"FROM:<%b>" % mail.sender, *size)
        await self._command(Stage.RECIPIENT, 250, b"RCPT", b"TO:<%b>" % mail.recipient)
        await self._command(Stage.DATA, 354, b"DATA")

    async def _command(self, stage: Stage, wanted: int, *words: bytes) -> None:
        reply = await self._client.execute_command(*words)
        if reply.code != wanted and not (wanted == 250 and reply.code == 251):
            if not _is_refusal(reply.code):
                raise NotWritten(f"{stage} {reply.code}")
            raise MailRefused(Reply(stage, reply.code, reply.message))

    async def _send_content(self, mail: MailEnvelope, first_byte: FirstByteGuard) -> str:
        protocol, transport = self._client.protocol, cast(asyncio.WriteTransport, self._client.transport)
        if protocol is None or not protocol.is_connected or transport.get_write_buffer_size():
            raise aiosmtplib.SMTPServerDisconnected("the first byte could not leave at once")
        # Where it refuses, this conversation, which waits for a content, can only be broken off.
        first_byte.before(mail.message_id)
        self.content_begun = True
        try:
            protocol.write(mail.content)
        finally:
            first_byte.after(mail.message_id)
        while protocol.is_connected and transport.get_write_buffer_size():  # noqa: ASYNC110 - transports have no event
            await asyncio.sleep(_DRAIN_SECONDS)
        protocol.write(b".\r\n")  # raises, and writes nothing, where the connection is lost
        self._dot_written = True
        reply = await protocol.read_response()
        if _is_refusal(reply.code):
            raise MailRefused(Reply(Stage.CONTENT, reply.code, reply.message))
        if reply.code // 100 != 2:
            raise NoAnswer(f"{Stage.CONTENT} {reply.code}")
        return reply.message

    async def _reset(self) -> None:
        """Forgets the mail that was refused; a connection on which that fails is closed."""
        try:
            async with asyncio.timeout(self._timeout):
                if self.is_open and (await self._client.execute_command(b"RSET")).code == 250:
                    return
        except (aiosmtplib.SMTPException, OSError):
            pass
        self.abort()


async def open_connection(server: SmtpServer) -> SmtpConnection:
    """Connects, secures the connection and logs in. Raises MailRefused and NotWritten.

    A server that does not offer STARTTLS where it is set, or whose certificate is not trusted, learns neither password
    nor mail.
    """
    try:
        async with asyncio.timeout(server.timeout):
            client = aiosmtplib.SMTP(
                hostname=server.host,
                sock=await _connect(server),
                use_tls=server.tls is not None and not server.starttls,
                start_tls=False,
                tls_context=server.tls,
                local_hostname=server.hello,
                timeout=None,
            )
            await _prepare(client, server)
    except _BROKEN as error:
        raise NotWritten(f"{Stage.CONNECT} {describe_error(error)}") from error
    return SmtpConnection(client, server.timeout)


async def _connect(server: SmtpServer) -> socket.socket:
    """A socket connected to the first address of the server that takes it; the guard sees each before it is called."""
    loop = asyncio.get_running_loop()
    open_socket = server.outbound.socket_factory(plain=server.tls is None)
    failure = OSError("the server has no address")
    for info in await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM):
        sock = None
        try:
            sock = open_socket(info)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.sock_connect(sock, info[4])
            return sock
        except BaseException as error:
            if sock is not None:
                sock.close()
            if not isinstance(error, OSError):
                raise
            failure = error
    raise failure


async def _prepare(client: aiosmtplib.SMTP, server: SmtpServer) -> None:
    """Makes a connected socket one over which mails may go."""
    try:
        async with _refused_at(Stage.CONNECT):
            await client.connect()
            await client.ehlo()
            if server.starttls:
                if not client.supports_extension("starttls"):
                    raise NotWritten("connect: the server does not offer STARTTLS")
                await client.starttls()
                await client.ehlo()
        if server.login is not None:
            async with _refused_at(Stage.LOGIN):
                if not client.supported_auth_methods:
                    raise MailRefused(Reply(Stage.LOGIN, 504))
                await client.login(*server.login)
    except BaseException:
        if client.transport is not None:
            cast(asyncio.WriteTransport, client.transport).abort()
        client.close()
        raise


@asynccontextmanager
async def _refused_at(stage: Stage) -> AsyncIterator[None]:
    """Turns a reply that the library raises into MailRefused."""
    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        if error.code < 0:  # what came was no reply
            raise
        raise MailRefused(Reply(stage, error.code, error.message)) from error


def _is_refusal(code: int) -> bool:
    """Whether this is a reply that refuses. Any other that was not expected leaves the conversation in doubt."""
    return code // 100 in (4, 5)


def describe_error(error: Exception) -> str:
    """The kind of error, or that of its cause; a text may hold an address."""
    return type(error.__cause__ if isinstance(error.__cause__, OSError) else error).__name__
