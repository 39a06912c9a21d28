"""Receipts and replies for messages in the sandbox, from somebody who plays the customers' side: a demo, or a test."""

from collections.abc import Sequence

from schemas.receipt import Statement
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.own_receipts import read_own_receipts
from services.orchestrator.delivery.adapters.sandbox.declaration import SandboxSettings


def read_receipts(settings: SandboxSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader."""
    return read_own_receipts("sandbox", request, settings.secret)
