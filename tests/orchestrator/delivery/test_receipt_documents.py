"""Documents of providers that readers of receipts ask for: fetched through the guard, once, and not often."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web

from schemas.receipt import Receipt, Statement
from schemas.times import MINUTE
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.adapters.definition import DocumentNeeded, ReceiptRequest
from services.orchestrator.delivery.receipts.documents import (
    MAX_DOCUMENT,
    MAX_FAILURES,
    MAX_FETCHES,
    DocumentUnavailable,
    ProviderDocuments,
    read_with_documents,
)

LOOPBACK = OutboundGuard(parse_networks("127.0.0.0/8"))
NOW = 1_800_000_000 * 1_000_000


class Pages:
    """A server that counts what it is asked for, and answers by the path: `/404`, `/large`, `/slow`, `/away`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if request.path == "/away":
            return web.Response(status=302, headers={"location": f"{self.url}/other"})
        if request.path == "/large":
            return web.Response(body=b"x" * (MAX_DOCUMENT + 1))
        if request.path == "/slow":
            await asyncio.sleep(60)
        return web.Response(status=404 if request.path == "/404" else 200, body=b"x" * MAX_DOCUMENT)


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    served = Pages()
    runner = web.ServerRunner(web.Server(served.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


def documents(guard: OutboundGuard = LOOPBACK, clock: ManualClock | None = None) -> ProviderDocuments:
    return ProviderDocuments(guard, clock or ManualClock(NOW), ssl.create_default_context())


async def test_a_document_is_fetched_once_whoever_asks(pages: Pages) -> None:
    found = documents()
    loaded = await asyncio.gather(*(found.load(f"{pages.url}/a.pem?x=1") for _ in range(20)))
    assert set(loaded) == {b"x" * MAX_DOCUMENT}
    assert pages.asked == ["/a.pem?x=1"]


async def test_few_documents_are_fetched_in_a_minute(pages: Pages) -> None:
    clock = ManualClock(NOW)
    found = documents(clock=clock)
    for number in range(MAX_FETCHES):
        await found.load(f"{pages.url}/{number}")
    with pytest.raises(DocumentUnavailable, match="too many"):
        await found.load(f"{pages.url}/new")
    await found.load(f"{pages.url}/0")
    clock.set(NOW + MINUTE)
    await found.load(f"{pages.url}/new")
    assert len(pages.asked) == MAX_FETCHES + 1


async def test_what_does_not_exist_keeps_nobody_from_what_does(pages: Pages) -> None:
    found = documents()
    for number in range(MAX_FAILURES):
        if number == MAX_FETCHES:
            await found.load(f"{pages.url}/certificate")
        with pytest.raises(DocumentUnavailable, match="cannot be used"):
            await found.load(f"{pages.url}/404?{number}")
    with pytest.raises(DocumentUnavailable, match="too many"):
        await found.load(f"{pages.url}/new")
    await found.load(pages.url.replace("127.0.0.1", "127.0.0.2") + "/of-another-host")
    assert len(pages.asked) == MAX_FAILURES + 2


async def test_what_is_kept_waits_for_no_fetch(pages: Pages) -> None:
    found = documents()
    await found.load(f"{pages.url}/certificate")
    slow = asyncio.create_task(found.load(f"{pages.url}/slow"))
    while len(pages.asked) < 2:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(1):
        assert await found.load(f"{pages.url}/certificate")
    slow.cancel()


@pytest.mark.parametrize("path", ["404", "large", "away"])
async def test_what_is_no_document_is_not_kept(path: str, pages: Pages) -> None:
    found = documents()
    for _ in range(2):
        with pytest.raises(DocumentUnavailable):
            await found.load(f"{pages.url}/{path}")
    assert pages.asked == [f"/{path}"] * 2  # and nobody has followed the redirect


async def test_a_slow_document_is_given_up(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.orchestrator.delivery.receipts.documents.TIMEOUT", 0.1)
    with pytest.raises(DocumentUnavailable, match="TimeoutError"):
        await documents().load(f"{pages.url}/slow")


@pytest.mark.parametrize("url", ["{url}/a", "http://169.254.169.254/a", "https://127.0.0.1/a", "file:///etc/passwd"])
async def test_the_guard_is_asked(url: str, pages: Pages) -> None:
    with pytest.raises(DocumentUnavailable):
        await documents(OutboundGuard()).load(url.format(url=pages.url))
    assert pages.asked == []


async def test_a_reader_is_asked_again_with_what_it_needs(pages: Pages) -> None:
    wanted = [f"{pages.url}/one", f"{pages.url}/two"]
    receipt = Receipt("test:1", "msg_1", "delivered", NOW)

    def read(settings: Any, request: ReceiptRequest) -> Sequence[Statement]:
        for url in wanted:
            if url not in request.documents:
                raise DocumentNeeded(url)
        return [receipt]

    request = ReceiptRequest({}, {}, b"", NOW)
    assert await read_with_documents(read, None, request, documents()) == [receipt]
    assert pages.asked == ["/one", "/two"]
    wanted += [f"{pages.url}/{number}" for number in range(5)]
    with pytest.raises(DocumentUnavailable, match="too many"):
        await read_with_documents(read, None, request, documents())
