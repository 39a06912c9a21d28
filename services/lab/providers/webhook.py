"""A company's own receiver behind the adapter of the same name: it takes each `webhook-id` once (Standard Webhooks)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.times import Instant, format_instant
from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    REPLY_TEXTS,
    LabAnswer,
    LabProvider,
    LabRequest,
    ReceiptPost,
    RequestRefused,
    Statement,
    Submission,
    find_text,
    read_json,
)
from services.lab.webhook_signature import is_signed, sign_headers, write_webhook_secret

SECRET: Final = "webhook secret"  # noqa: S105 - the name of a key
PATH: Final = "/messages"
KINDS: Final[Mapping[str, tuple[str, bool]]] = {
    "bounced": ("bounced", True),
    "soft_bounced": ("bounced", False),
    "stopped": ("unsubscribed", False),
}
"""Kind of a statement -> Tactful's word for it and whether it is permanent, where the word is another one."""
REPLY_CHANNELS: Final = frozenset(id for id, each in CHANNEL_REGISTRY.declarations.items() if each.has_replies)
"""Where replies are told as such; on other channels as receipts of their messages."""


def _detail(status: int, detail: str) -> LabAnswer:
    return LabAnswer(status, {"detail": detail})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {"url": f"{url}{PATH}", "secret": write_webhook_secret(keys.derive(SECRET))}


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", PATH):
        raise RequestRefused(_detail(404, f"post to {PATH}"))
    if not is_signed("webhook", request.headers, keys.derive(SECRET), request.body, request.at):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    body = read_json(request.body)
    message_id = find_text(body, "data", "message_id")
    if find_text(body, "type") != "tactful.message" or message_id != request.headers["webhook-id"]:
        raise RequestRefused(_detail(422, "the body is no message, or webhook-id is not its id"))
    return Submission(message_id, find_text(body, "data", "to"), message_id, find_text(body, "data", "channel"))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(200, {"id": provider_id})


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost:
    body = msgspec.json.encode(_write_body(statement))
    return ReceiptPost(sign_headers("webhook", keys.derive(SECRET), statement.id, now, body), body)


def _write_body(statement: Statement) -> Mapping[str, Any]:
    submission, at = statement.submission, format_instant(statement.at)
    text = REPLY_TEXTS.get(statement.kind)
    if text is not None and submission.channel in REPLY_CHANNELS:
        reply = {"id": statement.id, "channel": submission.channel, "address": submission.to, "text": text, "at": at}
        return {"replies": [reply]}
    kind, permanent = KINDS.get(statement.kind, (statement.kind, False))
    return {"receipts": [{"message_id": submission.message_id, "kind": kind, "at": at, "permanent": permanent}]}


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _detail(401, "webhook-signature does not fit"),
        "forbidden": _detail(403, "this sender may not send"),
        "too_many": _detail(429, "too many requests"),
        "address": _detail(422, "this address cannot be reached"),
        "error": _detail(500, "the receiver has failed"),
        "key_reused": _detail(409, "another body came under this webhook-id"),
    },
    write_receipt=_write_receipt,
    remembers=30 * 24 * 3600,
)
