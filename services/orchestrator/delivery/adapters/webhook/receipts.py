"""Receipts from the company's own sender, signed according to Standard Webhooks with the secret of the handovers.

The body is `{"receipts": [{"message_id": "msg_...", "kind": "delivered", "at": "2026-03-02T09:00:00Z"}, ...]}`.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from pydantic import SecretStr

from schemas.receipt import Receipt, ReceiptKind
from schemas.times import SECOND, Instant, parse_instant
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.webhook.adapter import sign, signing_key
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings

TOLERANCE: Final = 300
"""Seconds by which the time of a request may differ from ours."""


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
    _check_signature(settings.secret, request)
    try:
        statements = msgspec.json.decode(request.body, type=_Body).receipts
        return [_receipt(each) for each in statements]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"the body is no list of receipts: {type(error).__name__}") from None


def _receipt(statement: _Statement) -> Receipt:
    at: Instant = parse_instant(statement.at)
    identity = f"{statement.message_id}\n{statement.kind}\n{at}\n{statement.permanent}"
    return Receipt(
        "webhook:" + hashlib.sha256(identity.encode()).hexdigest()[:40],
        statement.message_id,
        statement.kind,
        at,
        statement.permanent,
        statement.by_machine,
        None if statement.detail is None else statement.detail[:200],
    )


def _check_signature(secret: SecretStr | None, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless one of the signatures is right and the request is of now."""
    if secret is None:
        raise ReceiptRefused("this adapter has no secret, so nobody can prove who sends receipts")
    id, seconds = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp"))
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        raise ReceiptRefused("webhook-timestamp must be seconds since 1970")
    right = sign(signing_key(secret), id, int(seconds), request.body).encode()
    given = request.headers.get("webhook-signature", "").split(" ")[:10]
    if not any(hmac.compare_digest(right, each.encode()) for each in given):
        raise ReceiptRefused("webhook-signature does not fit the body: sign its bytes with TACTFUL_WEBHOOK__SECRET")
    if abs(request.now - int(seconds) * SECOND) > TOLERANCE * SECOND:
        raise ReceiptRefused(f"webhook-timestamp differs from our time by more than {TOLERANCE} s")
