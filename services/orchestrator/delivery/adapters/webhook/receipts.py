"""Receipts and replies from the company's own sender, signed with a secret of the handovers."""

from collections.abc import Sequence

from schemas.receipt import Statement
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.own_receipts import read_own_receipts
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings


def read_receipts(settings: WebhookSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader."""
    return read_own_receipts("webhook", request, settings.secret, settings.second_secret)
