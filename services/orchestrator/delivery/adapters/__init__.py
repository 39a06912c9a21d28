"""The adapters: one file each, listed here."""

from typing import Final

from services.orchestrator.delivery.adapters.adapter import Adapter, FirstByteGuard
from services.orchestrator.delivery.adapters.null import NullAdapter
from services.orchestrator.delivery.adapters.sandbox import SandboxAdapter
from services.orchestrator.delivery.adapters.webhook import WebhookAdapter

__all__ = ["ADAPTERS", "Adapter", "FirstByteGuard"]

ADAPTERS: Final[tuple[type[SandboxAdapter] | type[WebhookAdapter] | type[NullAdapter], ...]] = (
    SandboxAdapter,
    WebhookAdapter,
    NullAdapter,
)
