"""A mail provider with an HTTP API on a real socket, and adapters for it.

The fake checks what every provider checks: path, authentication, User-Agent, required fields. What it answers to a good
request can be replaced by what goes wrong.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from sqlalchemy.ext.asyncio import create_async_engine

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import Clock, ManualClock
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from services.orchestrator.mail_settings import MailSettings
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

LOOPBACK = OutboundGuard(parse_networks("127.0.0.0/8"))
KEY = "key-of-an-account-0001"
NOW = 1_800_000_000 * 1_000_000
"""What the clock of these adapters says: microseconds since 1970."""
SHOP = MailSettings(
    from_address="news@shop.example",
    from_name="Müller, Söhne",
    reply_to="answers@shop.example",
    unsubscribe_address="stop@shop.example",
)
PAGE = "https://shop.example/u/1?token=a"
CONTENT = {"subject": "Grüße", "html": "<p>Hällo</p>", "text": "Hällo", "unsubscribe": PAGE}
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class ProviderAccount:
    """What a provider wants of a request, and how it answers a good one."""

    id: str
    path: str
    authorization: tuple[str, str]
    """A header and its value."""
    required: frozenset[str]
    """Fields of the body."""
    accepts: Callable[[], web.Response]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class MailApiFake:
    """Keeps each request; `answer` replaces the provider's own answer to a good one."""

    account: ProviderAccount
    answer: Handler | None = None
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        content = await request.read()
        if request.path != self.account.path or request.method != "POST":
            return web.Response(status=404)
        header, value = self.account.authorization
        if request.headers.get(header) != value:
            return web.Response(status=401)
        if not request.headers.get("user-agent"):
            return web.Response(status=403)
        body = read_body(request.headers.get("content-type", ""), content)
        self.headers.append(request.headers)
        self.bodies.append(body)
        if not self.account.required <= body.keys():
            return web.Response(status=400)
        return self.account.accepts() if self.answer is None else await self.answer(request)


def read_body(content_type: str, content: bytes) -> dict[str, Any]:
    """The fields of a request; of a form with files, these as `files`."""
    if content_type.startswith("multipart/form-data"):
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        body: dict[str, Any] = {"files": []}
        for part in message_from_bytes(head + content, policy=policy.HTTP).iter_parts():
            given = part.get_payload(decode=True)
            assert isinstance(given, bytes)
            if part.get_filename():
                body["files"].append((part.get_filename(), part.get_content_type(), given))
            else:
                body[str(part.get_param("name", header="content-disposition"))] = given.decode()
        return body
    if content_type.partition(";")[0] == "application/x-www-form-urlencoded":
        return dict(parse_qsl(content.decode(), strict_parsing=True))
    assert content_type.partition(";")[0] == "application/json"
    body = json.loads(content)
    assert isinstance(body, dict)
    return body


def answering(status: int, body: object = "", headers: Mapping[str, str] | None = None) -> Handler:
    """Answers every request alike; what is not text becomes JSON."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return answer


@asynccontextmanager
async def serving(fake: MailApiFake) -> AsyncIterator[str]:
    """The fake on a free port of this machine; its base URL."""
    runner = web.ServerRunner(web.Server(fake.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def context(
    account: ProviderAccount,
    url: str,
    mail: MailSettings = SHOP,
    timeout: float = 5.0,
    clock: Clock | None = None,
    **settings: Any,
) -> AdapterContext:
    """What an adapter for the account is created from."""
    declared = ADAPTER_REGISTRY.declarations[account.id].settings
    section = declared.model_validate({"key": KEY, "url": url, **account.settings, **settings})
    database = Database(create_async_engine("sqlite+aiosqlite://"), "sqlite")  # never connected to
    return AdapterContext(section, timeout, database, clock or ManualClock(NOW), LOOPBACK, mail)


def adapter_module(account: ProviderAccount) -> ModuleType:
    return ADAPTER_REGISTRY.load_module(account.id, "adapter")


@asynccontextmanager
async def contract_adapter(account: ProviderAccount) -> AsyncIterator[Adapter]:
    """An adapter with a provider that accepts everything."""
    async with serving(MailApiFake(account)) as url:
        yield adapter_module(account).create_adapter(context(account, url))


async def send(
    account: ProviderAccount,
    answer: Handler | None = None,
    mail: MailSettings = SHOP,
    timeout: float = 5.0,
    settings: Mapping[str, Any] | None = None,
    guard: RecordingFirstByteGuard | None = None,
    **fields: Any,
) -> tuple[HandoverResult, MailApiFake]:
    """One message, and what the provider got."""
    fake = MailApiFake(account, answer)
    async with serving(fake) as url:
        created = context(account, url, mail, timeout, **(settings or {}))
        adapter: Adapter = adapter_module(account).create_adapter(created)
        async with asyncio.timeout(20):
            mail_message = message(**{"content": CONTENT, **fields})
            [result] = await adapter.send_batch([mail_message], guard or RecordingFirstByteGuard())
        await adapter.close()
    return result, fake
