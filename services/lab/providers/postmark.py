"""Postmark: `POST /email`. Takes whatever comes; receipts are proven by a user and a password."""

import base64
import uuid
from collections.abc import Mapping, Sequence
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
    TakenMessage,
    bare_address,
    find_text,
    is_address,
    read_json,
)

KEY, RECEIPT_USER, RECEIPT_PASSWORD = "postmark key", "lab", "postmark receipts"
STREAMS: Final = ("outbound", "broadcast")
RECORDS: Final[Mapping[str, tuple[str, str, Mapping[str, Any]]]] = {
    "delivered": ("Delivery", "DeliveredAt", {"Details": "250 OK"}),
    "bounced": ("Bounce", "BouncedAt", {"Type": "HardBounce", "TypeCode": 1, "Inactive": True}),
    "soft_bounced": ("Bounce", "BouncedAt", {"Type": "SoftBounce", "TypeCode": 4096, "Inactive": False}),
    "failed": ("Bounce", "BouncedAt", {"Type": "SMTPApiError", "TypeCode": 100003}),
    "complained": ("SpamComplaint", "BouncedAt", {"Type": "SpamComplaint", "TypeCode": 512}),
    "opened": ("Open", "ReceivedAt", {"FirstOpen": True}),
    "clicked": ("Click", "ReceivedAt", {"OriginalLink": "https://shop.example/"}),
    "unsubscribed": (
        "SubscriptionChange",
        "ChangedAt",
        {"SuppressSending": True, "SuppressionReason": "ManualSuppression", "Origin": "Recipient"},
    ),
}
"""Kind of a statement -> its RecordType, the field with its time, and what it adds."""


def _error(status: int, code: int, message: str) -> LabAnswer:
    return LabAnswer(status, {"ErrorCode": code, "Message": message})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {
        "url": url,
        "key": keys.derive_text(KEY),
        "receipt_user": RECEIPT_USER,
        "receipt_password": keys.derive_text(RECEIPT_PASSWORD),
    }


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", "/email"):
        raise RequestRefused(_error(404, 0, "No such endpoint."))
    if not keys.is_key(KEY, request.headers.get("x-postmark-server-token", "")):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    if request.headers.get("accept", "") not in ("application/json", "*/*"):
        raise RequestRefused(_error(406, 0, "Accept header must be application/json."))
    mail = read_json(request.body)
    if not isinstance(mail, dict):
        raise RequestRefused(_error(422, 402, "Received invalid JSON input."))
    to = bare_address(find_text(mail, "To"))
    if not is_address(bare_address(find_text(mail, "From"))):
        raise RequestRefused(_error(422, 300, "Invalid 'From' address."))
    if not is_address(to):
        raise RequestRefused(_error(422, 300, "Invalid 'To' address."))
    if not (find_text(mail, "HtmlBody") or find_text(mail, "TextBody")):
        raise RequestRefused(_error(422, 300, "Provide either email TextBody or HtmlBody or both."))
    if mail.get("MessageStream", STREAMS[0]) not in STREAMS:
        raise RequestRefused(_error(422, 1235, "The 'MessageStream' provided does not exist on this server."))
    return Submission(find_text(mail, "Metadata", MESSAGE_FIELD), to)


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    content = {"To": submission.to, "MessageID": _write_id(provider_id), "ErrorCode": 0, "Message": "OK"}
    return LabAnswer(200, content)


def _answer_search(keys: LabKeys, request: LabRequest, taken: Sequence[TakenMessage]) -> LabAnswer:
    """`GET /messages/outbound`: the messages with our id in their metadata. The lab does not tell streams apart: it
    shows all in the first one.
    """
    if request.path != "/messages/outbound":
        return _error(404, 0, "No such endpoint.")
    if not keys.is_key(KEY, request.headers.get("x-postmark-server-token", "")):
        return PROVIDER.refusals["wrong_key"]
    if not {"count", "offset"} <= request.query.keys():
        return _error(422, 700, "The parameters 'count' and 'offset' are required.")
    wanted = request.query.get(f"metadata_{MESSAGE_FIELD}")
    found = [
        {
            "MessageID": _write_id(each.provider_id),
            "Recipients": [each.submission.to],
            "Metadata": {MESSAGE_FIELD: each.submission.message_id},
            "Status": "Sent",
            "ReceivedAt": format_instant(each.at),
        }
        for each in taken
        if wanted in (None, each.submission.message_id) and request.query.get("messagestream") == STREAMS[0]
    ]
    return LabAnswer(200, {"TotalCount": len(found), "Messages": found[: int(request.query["count"])]})


def _write_id(provider_id: str) -> str:
    return str(uuid.UUID(hex=provider_id))


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    if statement.kind not in RECORDS:
        return None
    record, time_field, details = RECORDS[statement.kind]
    event = {
        "RecordType": record,
        "MessageID": _write_id(statement.provider_id),
        ("Email" if record in ("Bounce", "SpamComplaint") else "Recipient"): statement.submission.to,
        "Metadata": {MESSAGE_FIELD: statement.submission.message_id},
        time_field: format_instant(statement.at),
        **details,
    }
    login = base64.b64encode(f"{RECEIPT_USER}:{keys.derive_text(RECEIPT_PASSWORD)}".encode()).decode()
    headers = {"authorization": f"Basic {login}", "content-type": "application/json"}
    return ReceiptPost(headers, msgspec.json.encode(event))


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _error(401, 10, "The server token in the header X-Postmark-Server-Token is invalid."),
        "forbidden": _error(422, 412, "Your account is pending approval."),
        "too_many": _error(429, 429, "Too many requests."),
        "address": _error(422, 406, "You tried to send to a recipient that has been marked as inactive."),
        "error": _error(500, 0, "Internal Server Error"),
    },
    write_receipt=_write_receipt,
    answer_search=_answer_search,
)
