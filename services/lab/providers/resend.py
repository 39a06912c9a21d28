"""Resend: `POST /emails`. A key counts once within 24 hours; receipts are signed by Svix (Standard Webhooks)."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.times import Instant, format_instant
from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    MESSAGE_FIELD,
    LabAnswer,
    LabProvider,
    LabRequest,
    ReceiptPost,
    RequestRefused,
    Statement,
    Submission,
    bare_address,
    find,
    find_text,
    is_address,
    read_json,
)
from services.lab.webhook_signature import sign_headers, write_webhook_secret

KEY, SIGNING_SECRET = "resend key", "resend signing secret"
EVENTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "delivered": ("email.delivered", {}),
    "bounced": ("email.bounced", {"bounce": {"type": "Permanent", "subType": "General"}}),
    "soft_bounced": ("email.bounced", {"bounce": {"type": "Transient", "subType": "MailboxFull"}}),
    "failed": ("email.failed", {"failed": {"reason": "reached_daily_quota"}}),
    "complained": ("email.complained", {}),
    "opened": ("email.opened", {}),
    "clicked": ("email.clicked", {"click": {"link": "https://shop.example/"}}),
}
"""Kind of a statement -> type of the event, and what it adds to its data. There is none for an unsubscription."""


def _error(status: int, name: str, message: str) -> LabAnswer:
    return LabAnswer(status, {"statusCode": status, "name": name, "message": message})


_BAD_TO: Final = _error(
    422,
    "validation_error",
    "Invalid `to` field. The email address needs to follow the `email@example.com` format.",
)


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {
        "url": url,
        "key": keys.derive_text(KEY),
        "signing_secret": write_webhook_secret(keys.derive(SIGNING_SECRET)),
    }


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", "/emails"):
        raise RequestRefused(_error(404, "not_found", "The requested endpoint does not exist."))
    if not request.headers.get("user-agent"):
        raise RequestRefused(LabAnswer(403, b"error code: 1010"))
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if not key:
        raise RequestRefused(_error(401, "missing_api_key", "Missing API key in the authorization header."))
    if scheme.lower() != "bearer" or not keys.is_key(KEY, key):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    return _read_mail(request)


def _read_mail(request: LabRequest) -> Submission:
    mail = read_json(request.body)
    to = find(mail, "to")
    addresses = [to] if isinstance(to, str) else to
    if not isinstance(mail, dict):
        raise RequestRefused(_error(422, "validation_error", "The request body must be valid JSON."))
    for field in ("from", "to", "subject"):
        if not mail.get(field):
            raise RequestRefused(_error(422, "missing_required_field", f"Missing `{field}` field."))
    if not mail.get("html") and not mail.get("text"):
        raise RequestRefused(_error(422, "missing_required_field", "Missing `html` or `text` field."))
    if not is_address(bare_address(find_text(mail, "from"))):
        raise RequestRefused(_error(422, "invalid_from_address", "Invalid `from` field."))
    if not isinstance(addresses, list) or not all(isinstance(each, str) and is_address(each) for each in addresses):
        raise RequestRefused(_BAD_TO)
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 256:
        raise RequestRefused(_error(400, "invalid_idempotency_key", "The key must be between 1-256 chars."))
    return Submission(_find_message_id(mail), addresses[0], key)


def _find_message_id(mail: Mapping[str, Any]) -> str:
    tags = mail.get("tags")
    named = (tag for tag in tags if find_text(tag, "name") == MESSAGE_FIELD) if isinstance(tags, list) else iter(())
    return find_text(next(named, None), "value")


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(200, {"id": _write_id(provider_id)})


def _write_id(provider_id: str) -> str:
    return str(uuid.UUID(hex=provider_id))


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    if statement.kind not in EVENTS:
        return None
    type, details = EVENTS[statement.kind]
    data = {
        "email_id": _write_id(statement.provider_id),
        "to": [statement.submission.to],
        "tags": {MESSAGE_FIELD: statement.submission.message_id},
        **details,
    }
    body = msgspec.json.encode({"type": type, "created_at": format_instant(statement.at), "data": data})
    id = f"msg_{statement.id}"
    return ReceiptPost(sign_headers("svix", keys.derive(SIGNING_SECRET), id, now, body), body)


def _own_limit_header(seconds: int, now: Instant) -> Mapping[str, str]:
    return {"ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": str(seconds)}


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _error(403, "invalid_api_key", "API key is invalid"),
        "forbidden": _error(403, "validation_error", "The shop.example domain is not verified."),
        "too_many": _error(429, "rate_limit_exceeded", "Too many requests. You can only make 2 requests per second."),
        "address": _BAD_TO,
        "error": _error(500, "internal_server_error", "An unexpected error occurred."),
        "key_reused": _error(
            409, "invalid_idempotent_request", "This idempotency key has been used with a different request body."
        ),
    },
    write_receipt=_write_receipt,
    own_limit_header=_own_limit_header,
    remembers=24 * 3600,
)
