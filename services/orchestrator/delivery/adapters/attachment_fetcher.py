"""Fetches the attachments of a mail just before it is handed over.

Messages carry addresses of files, not files. Each file comes by https from a host of the settings, past the outbound
guard, without redirects, within a time and a size, and is attached only if its content is what its name says.
"""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from schemas.message import HandoverOutcome, HandoverResult, Message
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.provider_http import default_ssl_context
from services.orchestrator.delivery.channels.email.attachments import (
    MAX_FILE,
    MAX_TOTAL,
    Attachment,
    file_name_of,
    is_what_it_says,
    media_type_of,
)

ATTACHMENTS_FIELD: Final = "attachments"
RETRY_SECONDS: Final = 60.0
"""How long a mail waits whose files cannot be had now: until it expires, nothing is lost."""
SLOTS: Final = 4
"""Mails with attachments that an adapter has in hand at a time: each may take 30 MB until it is written."""
KEPT_BYTES: Final = 4 * MAX_FILE
KEPT_SECONDS: Final = 300.0
"""How much, and for how long, is kept of what many mails have in common."""


AWAY_SECONDS: Final = 10.0
"""For how long a host that has not answered is left alone."""


class AttachmentRefused(Exception):
    """A file cannot be attached. Its text names the cause, without the address."""

    def __init__(self, outcome: HandoverOutcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome

    def result(self, message_id: str) -> HandoverResult:
        """The result for its message: the fault of its content, not of the provider."""
        wait = RETRY_SECONDS if self.outcome == "retry" else None
        return HandoverResult(message_id, self.outcome, detail=str(self), retry_after=wait, fault="content")


class _Kept(NamedTuple):
    content: bytes
    until: float


class AttachmentFetcher:
    """Fetches for one adapter. `slots`: to be held while a mail with attachments is in hand."""

    def __init__(self, context: AdapterContext) -> None:
        self._guard, self._timeout = context.outbound, context.timeout
        self._hosts = context.mail.hosts_of_attachments
        key = context.mail.attachment_key
        self._headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._away: dict[str, float] = {}
        """Host that has not answered -> until when it is not asked. Batches of mails do not wait for it again."""
        self.slots = asyncio.Semaphore(SLOTS)

    async def load(self, message: Message) -> tuple[Attachment, ...]:
        """The attachments of a message. Raises AttachmentRefused."""
        files: list[Attachment] = []
        for url in message.content.get(ATTACHMENTS_FIELD, "").split():
            name = file_name_of(url)
            media_type = media_type_of(name)
            if media_type is None:
                raise AttachmentRefused("rejected", "attachment_name")
            content = await self._load(url)
            if not is_what_it_says(name, content):
                raise AttachmentRefused("rejected", "attachment_wrong_type")
            files.append(Attachment(name, media_type, content))
            if sum(len(each.content) for each in files) > MAX_TOTAL:
                raise AttachmentRefused("rejected", "attachments_too_large")
        return tuple(files)

    async def close(self) -> None:
        """Closes all connections."""
        for session in self._sessions.values():
            await session.close()

    async def _load(self, url: str) -> bytes:
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(url)
        if kept is not None and now < kept.until:
            return kept.content
        content = await self._fetch(url)
        self._kept[url] = _Kept(content, now + KEPT_SECONDS)
        self._kept.move_to_end(url)
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop_old)
        while len(self._kept) > 1 and sum(len(each.content) for each in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return content

    def _drop_old(self) -> None:
        now = asyncio.get_running_loop().time()
        self._kept = OrderedDict((url, kept) for url, kept in self._kept.items() if now < kept.until)

    async def _fetch(self, url: str) -> bytes:
        try:
            self._guard.check_url(url)
            host = urlsplit(url).hostname
        except (ValueError, OSError):
            raise AttachmentRefused("rejected", "attachment_address") from None
        if host not in self._hosts:
            raise AttachmentRefused("rejected", "attachment_host_not_allowed")
        if self._away.get(host, 0.0) > asyncio.get_running_loop().time():
            raise AttachmentRefused("retry", "attachment_host_away")
        session = self._session(plain=url.startswith("http:"))
        try:
            async with asyncio.timeout(self._timeout):
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status != 200:
                        raise AttachmentRefused("retry", f"attachment_status_{answer.status}")
                    content = bytearray()
                    async for piece in answer.content.iter_any():
                        content += piece
                        if len(content) > MAX_FILE:
                            raise AttachmentRefused("rejected", "attachment_too_large")
                    return bytes(content)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            self._away[host] = asyncio.get_running_loop().time() + AWAY_SECONDS
            raise AttachmentRefused("retry", f"attachment_{type(error).__name__}") from error

    def _session(self, *, plain: bool) -> aiohttp.ClientSession:
        """The session, opened by the first request because it belongs to the running event loop."""
        if plain not in self._sessions:
            self._sessions[plain] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=SLOTS, ssl=default_ssl_context(), socket_factory=self._guard.socket_factory(plain=plain)
                ),
                headers={"user-agent": "Tactful", "accept-encoding": "identity", **self._headers},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._sessions[plain]
