"""Documents of providers that readers of receipts need: certificates, and pages that confirm a subscription.

Whoever sends a request can make a reader ask for one, before its signature is known to be right. So readers ask for
addresses of their provider alone, each is fetched once, and few are fetched in a minute, whoever asks.
"""

import asyncio
import ssl
from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from schemas.receipt import Statement
from schemas.times import MINUTE, Instant
from services.kit.errors import Transient
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.definition import DocumentNeeded, ReceiptReader, ReceiptRequest
from services.orchestrator.delivery.adapters.provider_http import default_ssl_context

MAX_DOCUMENT: Final = 64 * 1024
"""Bytes."""
MAX_KEPT: Final = 32
MAX_FETCHES: Final = 10
"""In a minute, of one host: a provider has a few certificates, and changes them once a year."""
MAX_FAILURES: Final = 30
"""In a minute, of one host: whoever makes up addresses there must not keep us from one that exists."""
TIMEOUT: Final = 5.0
"""Seconds."""
MAX_DOCUMENTS: Final = 3
"""For one request."""


class DocumentUnavailable(Transient):
    """A document of the provider cannot be had now: the provider sends the same receipts again."""

    default_code = "document_unavailable"


class ProviderDocuments:
    """Fetches documents, and keeps them."""

    def __init__(self, outbound: OutboundGuard, clock: Clock, ssl_context: ssl.SSLContext | None = None) -> None:
        """`ssl_context`: which certificates to trust; by default those of the public authorities."""
        self._outbound, self._clock = outbound, clock
        self._ssl_context = ssl_context
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._fetched: dict[str, list[Instant]] = {}
        self._failed: dict[str, list[Instant]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def load(self, url: str) -> bytes:
        """What stands at a URL. Raises DocumentUnavailable."""
        if url in self._kept:
            self._kept.move_to_end(url)
            return self._kept[url]
        async with self._one_at_a_time:
            if url not in self._kept:
                self._kept[url] = await self._fetch_seldom(url)
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
            return self._kept[url]

    async def _fetch_seldom(self, url: str) -> bytes:
        """Fetches it, unless much was fetched from its host, or could not be, within a minute."""
        host, now = urlsplit(url).netloc, self._clock.now()
        fetched, failed = self._recent(self._fetched, host, now), self._recent(self._failed, host, now)
        if len(fetched) >= MAX_FETCHES or len(failed) >= MAX_FAILURES:
            raise DocumentUnavailable("too many documents were asked for within a minute", retry_after=60.0)
        try:
            found = await self._fetch(url)
        except DocumentUnavailable:
            failed.append(now)
            raise
        fetched.append(now)
        return found

    @staticmethod
    def _recent(of_hosts: dict[str, list[Instant]], host: str, now: Instant) -> list[Instant]:
        """Those of the last minute, of a host; hosts are those that readers ask for, and few."""
        of_hosts[host] = [each for each in of_hosts.get(host, ()) if now - MINUTE < each <= now]
        return of_hosts[host]

    async def _fetch(self, url: str) -> bytes:
        try:
            self._outbound.check_url(url)
            async with asyncio.timeout(TIMEOUT), self._open_session(url) as session:
                async with session.get(url, allow_redirects=False) as answer:
                    content = await answer.content.read(MAX_DOCUMENT + 1)
                    while not answer.content.at_eof() and len(content) <= MAX_DOCUMENT:
                        content += await answer.content.read(MAX_DOCUMENT + 1)
        except (ValueError, OSError, aiohttp.ClientError) as error:  # a timeout is an OSError
            name = type(error).__name__
            raise DocumentUnavailable(
                f"a document of the provider cannot be fetched: {name}", retry_after=30.0
            ) from None
        if answer.status != 200 or len(content) > MAX_DOCUMENT:
            detail = f"a document of the provider cannot be used: status {answer.status}, {len(content)} bytes"
            raise DocumentUnavailable(detail, retry_after=30.0)
        return content

    def _open_session(self, url: str) -> aiohttp.ClientSession:
        sockets = self._outbound.socket_factory(plain=url.startswith("http:"))
        connector = aiohttp.TCPConnector(ssl=self._ssl_context or default_ssl_context(), socket_factory=sockets)
        headers = {"user-agent": "Tactful", "accept-encoding": "identity"}
        return aiohttp.ClientSession(
            connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )


async def read_with_documents(
    reader: ReceiptReader, settings: Any, request: ReceiptRequest, documents: ProviderDocuments
) -> list[Statement]:
    """What a request says, after the documents that the reader has asked for are there.

    Raises what the reader raises, and DocumentUnavailable.
    """
    for _ in range(MAX_DOCUMENTS + 1):
        try:
            return list(reader(settings, request))
        except DocumentNeeded as needed:
            found = await documents.load(needed.url)
            request = replace(request, documents={**request.documents, needed.url: found})
    raise DocumentUnavailable("the request needs too many documents")
