"""Receipts and replies from Vonage: one JSON object for each, and a token (JWT, HS256) with a digest of the body."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.receipt import MAX_REPLY, CustomerReply, Statement
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    DELIVERED,
    FAILED,
    OPENED,
    TOLERANCE,
    ProviderStatement,
    check_age,
    make_key,
    read_instant,
    read_object,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.text_api import status_meanings
from services.orchestrator.delivery.adapters.vonage.adapter import read_error_code
from services.orchestrator.delivery.adapters.vonage.declaration import VonageSettings
from services.orchestrator.delivery.adapters.vonage.error_codes import ERROR_CODES

STATUSES: Final = {"delivered": DELIVERED, "read": OPENED, "undeliverable": BOUNCED, "rejected": FAILED}
"""Status -> what it means if no error code says more. `submitted` is no receipt."""


def read_receipts(settings: VonageSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader."""
    _check_token(require_receipt_setting(settings, "vonage", "signature_secret").encode(), request)
    event = read_object(request.body)
    if find_text(event, "channel") != "sms":
        return []
    if "status" in event:
        return list(_read_status(event).receipts("vonage", request.now))
    return _read_text(event, request)


def _read_status(event: Mapping[str, Any]) -> ProviderStatement:
    status, code = find_text(event, "status"), read_error_code(event.get("error"))
    return ProviderStatement(
        message_id=find_text(event, "client_ref"),
        meanings=status_meanings(STATUSES, status, ERROR_CODES.get(code)),
        at=read_instant(find_text(event, "timestamp")),
        identity=(find_text(event, "message_uuid"), status, code),
        codes=(status, code),
    )


def _read_text(event: Mapping[str, Any], request: ReceiptRequest) -> Sequence[Statement]:
    id, sender, text = (find_text(event, name) for name in ("message_uuid", "from", "text"))
    if not (id and sender.isascii() and sender.isdecimal()):
        return []
    at = read_instant(find_text(event, "timestamp")) or request.now
    return [CustomerReply(make_key("vonage", id, "reply"), "sms", f"+{sender}", text[:MAX_REPLY], at)]


def _check_token(secret: bytes, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless the request has a token of the account for this very body, of now."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    claims = read_claims(secret, token.strip()) if scheme.lower() == "bearer" else None
    digest = hashlib.sha256(request.body).hexdigest()
    if claims is None or not hmac.compare_digest(digest.encode(), find_text(claims, "payload_hash").lower().encode()):
        raise ReceiptRefused(
            "the token does not fit the body: TACTFUL_VONAGE__SIGNATURE_SECRET is the signature secret of the account, "
            "and signed webhooks must be switched on"
        )
    issued = claims.get("iat")
    check_age(str(issued) if isinstance(issued, int) else "", request.now, TOLERANCE, "the token's iat")


def read_claims(secret: bytes, token: str) -> Mapping[str, Any] | None:
    """What a JSON Web Token says; None unless it is signed with HS256 and this secret (RFC 7515)."""
    signed, _, signature = token.rpartition(".")
    head, _, payload = signed.partition(".")
    try:
        given = signature.encode("ascii")
        right = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode("ascii"), "sha256")).rstrip(b"=")
        if not hmac.compare_digest(right, given) or find_text(_decode_part(head), "alg") != "HS256":
            return None
        return _decode_part(payload)
    except (ValueError, Malformed):
        return None


def _decode_part(part: str) -> Mapping[str, Any]:
    return read_object(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
