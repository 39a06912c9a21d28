"""The adapters: one file each, listed here."""

from typing import Final

from services.orchestrator.delivery.adapters.adapter import Adapter, FirstByte
from services.orchestrator.delivery.adapters.null import Null
from services.orchestrator.delivery.adapters.sandbox import Sandbox
from services.orchestrator.delivery.adapters.webhook import Webhook

__all__ = ["ADAPTERS", "Adapter", "FirstByte"]

ADAPTERS: Final[tuple[type[Sandbox] | type[Webhook] | type[Null], ...]] = (Sandbox, Webhook, Null)
