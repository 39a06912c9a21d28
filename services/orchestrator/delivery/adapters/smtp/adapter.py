"""The adapter `smtp`: one mail for each message, over a few connections that stay open.

SMTP has no key by which a server could tell a repeated mail, so the adapter is not idempotent: a mail whose end is
unknown is not sent again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from schemas.message import HandoverResult, Message
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.kit.runtime.tls import TlsFiles, client_context
from services.orchestrator.delivery.adapters.attachment_fetcher import (
    ATTACHMENTS_FIELD,
    AttachmentFetcher,
    AttachmentRefused,
)
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.adapters.provider_http import NoAnswer, NotWritten
from services.orchestrator.delivery.adapters.smtp.connection import (
    MailRefused,
    SmtpConnection,
    SmtpServer,
    open_connection,
)
from services.orchestrator.delivery.adapters.smtp.declaration import SmtpSettings
from services.orchestrator.delivery.adapters.smtp.envelope import (
    MailEnvelope,
    UnwritableAddress,
    create_envelope,
    encode_address,
)
from services.orchestrator.delivery.adapters.smtp.pool import MAX_IDLE, ConnectionPool
from services.orchestrator.delivery.adapters.smtp.replies import find_meaning, find_queue_id
from services.orchestrator.delivery.channels.email.attachments import Attachment
from services.orchestrator.delivery.channels.email.mail import NoSender
from services.orchestrator.delivery.deadline import PastDeadline
from services.orchestrator.mail_settings import MailSettings

_CLOSING = 421
"""The reply with which a server closes the connection."""
_MAX_LATE = 2
"""Mails past their deadline, one after the other, after which a connection tries no more of a batch."""
_FAILURES = (MailRefused, NotWritten, NoAnswer, PastDeadline)


class NoConnection(Exception):
    """No connection could be opened. `cause`: MailRefused or NotWritten."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class SmtpAdapter:
    """Sends over at most `connections` connections at a time."""

    name = "smtp"
    idempotent = False

    def __init__(
        self,
        server: SmtpServer,
        mail: MailSettings,
        clock: Clock,
        *,
        connections: int = 4,
        return_path: str | None = None,
        bounce_secret: str | None = None,
        max_idle: float = MAX_IDLE,
        attachments: AttachmentFetcher | None = None,
    ) -> None:
        self._attachments = attachments
        self._mail, self._clock, self._return_path = mail, clock, return_path
        self._bounce_secret = bounce_secret
        self._connections = connections
        self._pool = ConnectionPool(connections, lambda: open_connection(server), max_idle)

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One mail a message, one at a time on each connection.

        Who cannot open a connection gives up for this batch and leaves the rest to those who have one. What nobody is
        left for is not tried: a server that is away, or refuses the login, is asked a few times and not once for each
        mail. The same for one whose mails are past their deadline, because each of these costs a connection.
        """
        results: dict[int, HandoverResult] = {}
        # What needs no file goes first: it does not wait for the files of others.
        waiting = deque(sorted(enumerate(messages), key=lambda item: ATTACHMENTS_FIELD in item[1].content))
        failure: Exception | None = None

        async def send_next() -> None:
            nonlocal failure
            late = 0
            while waiting:
                index, message = waiting.popleft()
                try:
                    results[index] = await self._send(message, first_byte)
                except NoConnection as error:
                    failure = error.cause
                    results[index] = result_of(message.id, failure)
                    return
                late = late + 1 if results[index] == past_deadline_result(message.id) else 0
                if late == _MAX_LATE:
                    failure = PastDeadline()
                    return

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._connections, len(messages))):
                workers.create_task(send_next())
        for index, message in waiting:
            assert failure is not None
            results[index] = result_of(message.id, failure)
        return [results[index] for index in range(len(messages))]

    async def close(self) -> None:
        """Closes all connections."""
        await self._pool.close()
        if self._attachments is not None:
            await self._attachments.close()

    async def _send(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        if ATTACHMENTS_FIELD not in message.content or self._attachments is None:
            return await self._send_mail(message, first_byte, ())
        async with self._attachments.slots:
            try:
                files = await self._attachments.load(message)
            except AttachmentRefused as refused:
                return refused.result(message.id)
            return await self._send_mail(message, first_byte, files)

    async def _send_mail(
        self, message: Message, first_byte: FirstByteGuard, files: tuple[Attachment, ...]
    ) -> HandoverResult:
        try:
            envelope = create_envelope(
                message, self._mail, self._return_path, self._clock.now(), self._bounce_secret, files
            )
        except NoSender as error:
            return HandoverResult(message.id, "retry", detail=str(error), fault="account")
        except UnwritableAddress:
            return HandoverResult(message.id, "rejected", detail="not an address of SMTP", fault="address")
        except Exception as error:  # the library's own for what it cannot write; a text may quote the content
            detail = f"not a mail: {type(error).__name__}"
            return HandoverResult(message.id, "rejected", detail=detail, fault="content")
        try:
            text = await self._hand_over(envelope, first_byte)
        except _FAILURES as cause:
            return result_of(message.id, cause)
        return HandoverResult(message.id, "accepted", find_queue_id(text))

    async def _hand_over(self, envelope: MailEnvelope, first_byte: FirstByteGuard) -> str:
        """Sends a mail. Where a connection from the pool turns out to be closed, on a new one once more: servers close
        what has been idle, or has carried many mails, without a word or with 421.
        """
        connection = await self._take(new=False)
        was_used = connection.mails > 0
        try:
            return await self._submit(connection, envelope, first_byte)
        except (MailRefused, NotWritten) as cause:
            was_closed = isinstance(cause, NotWritten) or cause.reply.code == _CLOSING
            if not was_used or not was_closed or connection.content_begun:
                raise
        return await self._submit(await self._take(new=True), envelope, first_byte)

    async def _take(self, *, new: bool) -> SmtpConnection:
        try:
            return await self._pool.take(new=new)
        except (MailRefused, NotWritten) as cause:
            raise NoConnection(cause) from cause

    async def _submit(self, connection: SmtpConnection, envelope: MailEnvelope, first_byte: FirstByteGuard) -> str:
        try:
            return await connection.submit(envelope, first_byte)
        finally:
            self._pool.give_back(connection)


def result_of(message_id: str, cause: Exception) -> HandoverResult:
    """The result for a mail that was not accepted."""
    if isinstance(cause, PastDeadline):
        return past_deadline_result(message_id)
    if isinstance(cause, MailRefused):
        outcome, fault, wait = find_meaning(cause.reply)
        return HandoverResult(message_id, outcome, detail=cause.reply.detail, retry_after=wait, fault=fault)
    return HandoverResult(message_id, "unknown" if isinstance(cause, NoAnswer) else "retry", detail=str(cause))


def create_adapter(context: AdapterContext) -> SmtpAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: SmtpSettings = context.settings
    if settings.host is None:
        raise SettingsError("TACTFUL_SMTP__HOST is not set, and this process needs it")
    _check_server(settings.host, settings, context.outbound)
    tls = None
    if settings.security != "none":
        tls = client_context(TlsFiles(ca=settings.ca_file, ca_setting="TACTFUL_SMTP__CA_FILE"))
    password = settings.password.get_secret_value() if settings.password is not None else ""
    server = SmtpServer(
        host=settings.host,
        port=settings.server_port,
        outbound=context.outbound,
        tls=tls,
        starttls=settings.security == "starttls",
        login=(settings.user, password) if settings.user is not None else None,
        hello=_name_of_client(settings.return_path or context.mail.from_address),
        timeout=context.timeout,
    )
    return SmtpAdapter(
        server,
        context.mail,
        context.clock,
        connections=settings.connections,
        return_path=settings.return_path,
        bounce_secret=None if settings.bounce_secret is None else settings.bounce_secret.get_secret_value(),
        attachments=AttachmentFetcher(context),
    )


def _check_server(host: str, settings: SmtpSettings, outbound: OutboundGuard) -> None:
    """Asks the guard now about what it would refuse at every connection. Raises SettingsError."""
    place = f"[{host}]" if ":" in host else host
    try:
        outbound.check_url(f"https://{place}/")
    except (ValueError, OSError) as error:
        raise SettingsError(f"TACTFUL_SMTP__HOST: {error}") from None
    if settings.security == "none":
        try:
            outbound.check_url(f"http://{place}/")
        except (ValueError, OSError):
            raise SettingsError(
                "TACTFUL_SMTP__SECURITY: `none` is for a server in TACTFUL_OUTBOUND__NETWORKS: set starttls or tls"
            ) from None


def _name_of_client(address: str | None) -> str:
    """The domain of the sender, which servers can look up. A machine's own name is nobody's business."""
    try:
        return encode_address(address or "").decode().rpartition("@")[2]
    except UnwritableAddress:
        return "[127.0.0.1]"
