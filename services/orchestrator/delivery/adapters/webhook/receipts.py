"""Receipts from the company's own sender, signed according to Standard Webhooks with a secret of the handovers.

The body is `{"receipts": [{"message_id": "msg_...", "kind": "delivered", "at": "2026-03-02T09:00:00Z"}, ...]}`.
"""

from collections.abc import Sequence

import msgspec

from schemas.receipt import Receipt, ReceiptKind
from schemas.times import parse_instant
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.provider_receipts import ProviderStatement, ReceiptMeaning
from services.orchestrator.delivery.adapters.standard_webhooks import check_standard_signature
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings


class _Statement(msgspec.Struct):
    message_id: str
    kind: ReceiptKind
    at: str
    permanent: bool = False
    by_machine: bool = False
    detail: str | None = None


class _Body(msgspec.Struct):
    receipts: list[_Statement]


def read_receipts(settings: WebhookSettings, request: ReceiptRequest) -> Sequence[Receipt]:
    """See ReceiptReader."""
    if settings.secret is None:
        raise ReceiptRefused("TACTFUL_WEBHOOK__SECRET is not set, so nobody can prove who sends receipts")
    check_standard_signature(settings.secret, request, "webhook", "TACTFUL_WEBHOOK__SECRET", settings.second_secret)
    try:
        statements = [_read_statement(each) for each in msgspec.json.decode(request.body, type=_Body).receipts]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"the body is no list of receipts: {type(error).__name__}") from None
    return [receipt for each in statements for receipt in each.receipts("webhook", request.now)]


def _read_statement(given: _Statement) -> ProviderStatement:
    at = parse_instant(given.at)
    return ProviderStatement(
        message_id=given.message_id,
        meanings=(ReceiptMeaning(given.kind, given.permanent, given.by_machine),),
        at=at,
        identity=(given.message_id, given.kind, str(at), str(given.permanent)),
        codes=(given.detail or "").split()[:5],
    )
