"""The adapters of the product, set up for a lab with the settings that the lab gives out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult, Message
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock, SystemClock
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from services.orchestrator.mail_settings import MailSettings
from tests.support.mail_api_fake import CONTENT, LOOPBACK, SHOP
from tests.support.running_lab import LocalLab
from tests.support.webhook_receiver import RecordingFirstByteGuard, message


@asynccontextmanager
async def lab_adapter(
    lab: LocalLab,
    provider: str,
    timeout: float = 5.0,
    clock: Clock | None = None,
    settings: Mapping[str, str] | None = None,
    mail: MailSettings = SHOP,
) -> AsyncIterator[Adapter]:
    """The adapter, which is closed at the end. `settings` replace those of the lab."""
    section = ADAPTER_REGISTRY.declarations[provider].settings.model_validate(
        {**lab.settings(provider), **(settings or {})}
    )
    database = Database(create_async_engine("sqlite+aiosqlite://"), "sqlite")  # never connected to
    context = AdapterContext(section, timeout, database, clock or SystemClock(), LOOPBACK, mail)
    adapter: Adapter = ADAPTER_REGISTRY.load_module(provider, "adapter").create_adapter(context)
    try:
        yield adapter
    finally:
        await adapter.close()


NUMBERS = {"ada@example.org": "+4915112345678", "ada+block@example.org": "+4915112345690"}
"""Whom adapters of telephone numbers write to in place of a mailbox."""


def lab_message(provider: str, id: str = "msg_1", to: str = "ada@example.org", **fields: Any) -> Message:
    """A mail, or what the provider's channel has in its place."""
    channels = sorted(ADAPTER_REGISTRY.declarations[provider].channels or {"email"})
    if "email" in channels:
        return message(**{"id": id, "to": to, "content": CONTENT, **fields})
    text = {"channel": channels[-1], "to": NUMBERS.get(to, to), "content": {"text": "Hi"}}
    return message(**{"id": id, **text, **fields})


async def hand_over(adapter: Adapter, id: str = "msg_1", to: str = "ada@example.org", **fields: Any) -> HandoverResult:
    """The result of one message."""
    [result] = await adapter.send_batch([lab_message(adapter.name, id, to, **fields)], RecordingFirstByteGuard())
    return result
