"""SendGrid: `POST /v3/mail/send`. Takes whatever comes; receipts are arrays of events, signed with ECDSA on P-256."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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
    find,
    find_text,
    is_address,
    read_json,
)

KEY, SIGNER = "sendgrid key", "sendgrid signer"
EVENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "delivered": {"event": "delivered", "response": "250 OK"},
    "bounced": {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown mailbox"},
    "soft_bounced": {"event": "bounce", "type": "blocked", "status": "4.2.2", "reason": "452 4.2.2 mailbox full"},
    "failed": {"event": "dropped", "reason": "Invalid SMTPAPI header"},
    "complained": {"event": "spamreport"},
    "opened": {"event": "open", "sg_machine_open": False},
    "clicked": {"event": "click", "url": "https://shop.example/"},
    "unsubscribed": {"event": "unsubscribe"},
}
"""Kind of a statement -> what its event says."""


def _errors(status: int, message: str, field: str | None = None) -> LabAnswer:
    return LabAnswer(status, {"errors": [{"message": message, "field": field, "help": None}]})


_TO: Final = "personalizations.0.to.0.email"
_BAD_TO: Final = _errors(400, "Does not contain a valid address.", _TO)


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    public = keys.derive_signer(SIGNER).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"url": url, "key": keys.derive_text(KEY), "verification_key": base64.b64encode(public).decode()}


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", "/v3/mail/send"):
        raise RequestRefused(_errors(404, "Not Found"))
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not keys.is_key(KEY, key):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    mail = read_json(request.body)
    if not isinstance(mail, dict):
        raise RequestRefused(_errors(400, "Bad Request"))
    to = find_text(mail, "personalizations", 0, "to", 0, "email")
    if not is_address(to):
        raise RequestRefused(_BAD_TO)
    if not is_address(find_text(mail, "from", "email")):
        raise RequestRefused(_errors(400, "The from email does not contain a valid address.", "from.email"))
    _check_content(mail)
    return Submission(find_text(mail, "personalizations", 0, "custom_args", MESSAGE_FIELD), to)


def _check_content(mail: Mapping[str, Any]) -> None:
    """Raises RequestRefused. A plain text has to stand before the HTML."""
    if not find_text(mail, "subject"):
        raise RequestRefused(_errors(400, "The subject is required.", "subject"))
    content = mail.get("content")
    if not (isinstance(content, list) and content and all(find_text(each, "value") for each in content)):
        raise RequestRefused(_errors(400, "The content value must be a string at least one character long.", "content"))
    kinds = [find_text(each, "type") for each in content]
    if "text/plain" in kinds[1:]:
        raise RequestRefused(_errors(400, "The content must be ordered: text/plain, then text/html.", "content"))
    if len(find(mail, "personalizations") or ()) != 1 or len(find(mail, "personalizations", 0, "to") or ()) != 1:
        raise RequestRefused(_errors(400, "The lab takes one recipient for a request.", "personalizations"))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(202, headers={"x-message-id": provider_id})


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    if statement.kind not in EVENTS:
        return None
    event = {
        "email": statement.submission.to,
        "timestamp": statement.at // SECOND,
        "sg_event_id": statement.id,
        "sg_message_id": f"{statement.provider_id}.lab",
        MESSAGE_FIELD: statement.submission.message_id,
        **EVENTS[statement.kind],
    }
    body, seconds = msgspec.json.encode([event]), str(now // SECOND)
    signature = keys.derive_signer(SIGNER).sign(seconds.encode() + body, ECDSA(SHA256()))
    headers = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": seconds,
        "content-type": "application/json",
    }
    return ReceiptPost(headers, body)


def _own_limit_header(seconds: int, now: Instant) -> Mapping[str, str]:
    """The end of the limit as the second of the epoch."""
    reset = now // SECOND + seconds
    return {"x-ratelimit-limit": "600", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _errors(401, "The provided authorization grant is invalid, expired, or revoked"),
        "forbidden": _errors(403, "The from address does not match a verified Sender Identity.", "from"),
        "too_many": _errors(429, "too many requests"),
        "address": _BAD_TO,
        "error": _errors(500, "Internal Server Error"),
    },
    write_receipt=_write_receipt,
    own_limit_header=_own_limit_header,
)
