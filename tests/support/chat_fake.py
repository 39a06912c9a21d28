"""A chat program with an HTTP API on a real socket, and adapters for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import create_async_engine

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from tests.support.mail_api_fake import LOOPBACK, NOW
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

EVIL = "*b* _i_ ~s~ `c` <!channel> <@U1> @everyone [x](https://evil.example) & <b>h</b> \\ | {{DATE(2026)}}"
"""Markup and mentions of every program: none of it may do anything."""
FULL: Mapping[str, str] = {
    "title": "Störung: Donaudampfschifffahrtsgesellschaftskapitän",
    "text": "مرحبا بالعالم\nsee https://status.example/a_b*c, thanks \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "facts": json.dumps({"Order": "7 & <8>", "When": "today"}),
    "button": "Status",
    "link": "https://status.example/now?a=1&b=2",
    "second_button": "Help",
    "second_link": "https://help.example/",
    "severity": "danger",
    "image": "https://img.example/a.png",
    "image_text": "A chart",
}
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class ChatFake:
    """Keeps each request, and answers as it is told."""

    answer: Handler
    paths: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST" and request.content_type == "application/json"
        self.bodies.append(json.loads(await request.read()))
        self.paths.append(request.path_qs)
        self.headers.append(request.headers)
        return await self.answer(request)


def answering(status: int, body: object = "", headers: Mapping[str, str] | None = None) -> Handler:
    """Answers every request alike; what is not text becomes JSON."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return answer


@asynccontextmanager
async def serving(fake: ChatFake) -> AsyncIterator[str]:
    """The fake on a free port of this machine; its base URL."""
    runner = web.ServerRunner(web.Server(fake.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def chat_context(
    id: str,
    settings: Mapping[str, Any],
    name: str = "",
    channels: frozenset[str] = frozenset(),
    outbound: OutboundGuard = LOOPBACK,
) -> AdapterContext:
    """What an adapter is created from."""
    section = ADAPTER_REGISTRY.declarations[id].settings.model_validate(settings)
    database = Database(create_async_engine("sqlite+aiosqlite://"), "sqlite")  # never connected to
    return AdapterContext(section, 5.0, database, ManualClock(NOW), outbound, name=name, channels=channels)


def create_chat_adapter(id: str, settings: Mapping[str, Any], **how: Any) -> Adapter:
    created: Adapter = ADAPTER_REGISTRY.load_module(id, "adapter").create_adapter(chat_context(id, settings, **how))
    return created


async def send_chat(
    id: str, settings: Mapping[str, Any], answer: Handler, name: str = "", **fields: Any
) -> tuple[HandoverResult, ChatFake]:
    """One message, and what the program got."""
    fake = ChatFake(answer)
    async with serving(fake) as url:
        adapter = create_chat_adapter(id, {"url": url, **settings}, name=name)
        async with asyncio.timeout(20):
            sent = message(**{"channel": "chat", "content": {"text": "Hello"}, **fields})
            [result] = await adapter.send_batch([sent], RecordingFirstByteGuard())
        await adapter.close()
    return result, fake


@asynccontextmanager
async def chat_under_contract(id: str, settings: Mapping[str, Any], answer: Handler) -> AsyncIterator[Adapter]:
    """An adapter with a program that takes everything."""
    async with serving(ChatFake(answer)) as url:
        yield create_chat_adapter(id, {"url": url, **settings})
