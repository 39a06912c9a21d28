"""Mailgun: `POST /v3/DOMAIN/messages`, a form. Takes whatever comes; signatures of receipts cover time and token."""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.message import Message as MimeMessage
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from schemas.times import SECOND, Instant
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
    TakenMessage,
    bare_address,
    is_address,
)

KEY, SEARCH_KEY, SIGNING_KEY, DOMAIN = "mailgun key", "mailgun search key", "mailgun signing key", "lab.example"
FORM: Final = "application/x-www-form-urlencoded"
FORM_WITH_FILES: Final = "multipart/form-data"
EVENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "delivered": {"event": "delivered", "delivery-status": {"code": 250}},
    "bounced": {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "delivery-status": {"code": 550},
    },
    "soft_bounced": {
        "event": "failed",
        "severity": "permanent",
        "reason": "old",
        "delivery-status": {"code": 602},
    },
    "failed": {"event": "rejected", "reject": {"reason": "Sandbox subdomains are for test purposes only"}},
    "complained": {"event": "complained"},
    "opened": {"event": "opened", "client-info": {"client-type": "mobile browser"}},
    "clicked": {"event": "clicked", "url": "https://shop.example/"},
    "unsubscribed": {"event": "unsubscribed"},
}
"""Kind of a statement -> what its event says. `old` is Mailgun's word for having given up after hours."""
_PATH: Final = re.compile(r"/v3/([^/]+)/messages")


def _message(status: int, message: str) -> LabAnswer:
    return LabAnswer(status, {"message": message})


_BAD_TO: Final = _message(400, "to parameter is not a valid address. please check documentation")


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {
        "url": url,
        "key": keys.derive_text(KEY),
        "domain": DOMAIN,
        "signing_key": keys.derive_text(SIGNING_KEY),
        "search_key": keys.derive_text(SEARCH_KEY),
    }


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    path = _PATH.fullmatch(request.path)
    if request.method != "POST" or path is None:
        raise RequestRefused(LabAnswer(404, b"404 page not found"))
    if not _is_known(keys, KEY, request.headers.get("authorization", "")):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    if path[1] != DOMAIN:
        raise RequestRefused(_message(404, f"Domain not found: {path[1][:60]}"))
    form = _read_form(request)
    if not is_address(bare_address(form.get("from", ""))):
        raise RequestRefused(_message(400, "from parameter is not a valid address. please check documentation"))
    to = bare_address(form.get("to", ""))
    if not is_address(to):
        raise RequestRefused(_BAD_TO)
    if not (form.get("text") or form.get("html")):
        raise RequestRefused(_message(400, "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters"))
    return Submission(form.get(f"v:{MESSAGE_FIELD}", ""), to)


def _is_known(keys: LabKeys, name: str, authorization: str) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, key = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return False
    return scheme.lower() == "basic" and user == "api" and keys.is_key(name, key)


def _read_form(request: LabRequest) -> Mapping[str, str]:
    header = MimeMessage()
    header["content-type"] = request.headers.get("content-type", "")
    if header.get_content_type() == FORM_WITH_FILES:
        return _read_parts(request)
    if header.get_content_type() != FORM:
        raise RequestRefused(_message(400, f"the lab reads {FORM} and {FORM_WITH_FILES} alone"))
    try:
        return dict(parse_qsl(request.body.decode(), strict_parsing=True, keep_blank_values=True))
    except ValueError:
        raise RequestRefused(_message(400, "the form cannot be read")) from None


def _read_parts(request: LabRequest) -> Mapping[str, str]:
    """The fields of a form with files; the files are passed over."""
    head = f"content-type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    form: dict[str, str] = {}
    for part in message_from_bytes(head + request.body, policy=policy.HTTP).walk():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes) and part.get_filename() is None:
            name = part.get_param("name", header="content-disposition")
            form[str(name)] = content.decode(errors="replace")
    return form


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(200, {"id": f"<{provider_id}@{DOMAIN}>", "message": "Queued. Thank you."})


def _answer_search(keys: LabKeys, request: LabRequest, taken: Sequence[TakenMessage]) -> LabAnswer:
    """`GET /v3/DOMAIN/events`: the event `accepted` of each message to a recipient. A sending key may not ask."""
    if request.path != f"/v3/{DOMAIN}/events":
        return LabAnswer(404, b"404 page not found")
    if not _is_known(keys, SEARCH_KEY, request.headers.get("authorization", "")):
        return LabAnswer(401, b"Forbidden")
    recipient = request.query.get("recipient", "").strip('"')
    begin, limit = int(request.query.get("begin", "0")), int(request.query.get("limit", "100"))
    items = [
        {
            "event": "accepted",
            "timestamp": each.at / SECOND,
            "recipient": each.submission.to,
            "message": {"headers": {"message-id": f"{each.provider_id}@{DOMAIN}"}},
            "user-variables": {MESSAGE_FIELD: each.submission.message_id},
        }
        for each in taken
        if recipient in each.submission.to and each.at // SECOND >= begin
    ]
    return LabAnswer(200, {"items": items[:limit], "paging": {}})


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    """A repetition has the same token and time as the first, as its token is what Mailgun's receipts are known by."""
    if statement.kind not in EVENTS:
        return None
    seconds = str(statement.at // SECOND)
    signed = f"{seconds}{statement.id}".encode()
    signature = hmac.digest(keys.derive_text(SIGNING_KEY).encode(), signed, "sha256").hex()
    event = {
        "id": statement.id,
        "timestamp": statement.at / SECOND,
        "recipient": statement.submission.to,
        "message": {"headers": {"message-id": f"{statement.provider_id}@{DOMAIN}"}},
        "user-variables": {MESSAGE_FIELD: statement.submission.message_id},
        **EVENTS[statement.kind],
    }
    proof = {"timestamp": seconds, "token": statement.id, "signature": signature}
    body = msgspec.json.encode({"signature": proof, "event-data": event})
    return ReceiptPost({"content-type": "application/json"}, body)


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": LabAnswer(401, b"Forbidden"),
        "forbidden": _message(403, "Domain lab.example is not allowed to send: please add your own domain"),
        "too_many": _message(429, "Too many requests"),
        "address": _BAD_TO,
        "error": _message(500, "Internal Server Error"),
    },
    write_receipt=_write_receipt,
    answer_search=_answer_search,
)
