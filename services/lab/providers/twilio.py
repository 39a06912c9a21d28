"""Twilio's Messages resource, for SMS and WhatsApp. Takes whatever comes; receipts and replies are forms, signed over
the URL that the lab's settings name.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from schemas.times import Instant
from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    MESSAGE_FIELD,
    REPLY_TEXTS,
    LabAnswer,
    LabProvider,
    LabRequest,
    ReceiptPost,
    RequestRefused,
    Statement,
    Submission,
    is_phone_number,
)

KEY: Final = "twilio key"
ACCOUNT: Final = "AC" + "1" * 32
SENDER: Final = "+15005550006"
RECEIPTS_URL: Final = "https://lab.example/v1/receipts/twilio"
"""What signatures cover. The lab posts to the Tactful that it was told of, whatever its address."""
PREFIX: Final = "whatsapp:"
STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "delivered": ("delivered", ""),
    "bounced": ("undelivered", "30005"),
    "soft_bounced": ("undelivered", "30003"),
    "failed": ("failed", "30007"),
    "opened": ("read", ""),
}
"""Kind of a statement -> status and error code. Nothing is said of complaints and clicks; who unsubscribes writes STOP.
"""


def _twilio_error(status: int, code: int, text: str) -> LabAnswer:
    return LabAnswer(status, {"code": code, "message": text, "more_info": "https://lab.example", "status": status})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {
        "url": url,
        "account_sid": ACCOUNT,
        "key": keys.derive_text(KEY),
        "sender": SENDER,
        "whatsapp_sender": SENDER,
        "receipts_url": RECEIPTS_URL,
    }


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"):
        raise RequestRefused(_twilio_error(404, 20404, "The requested resource was not found"))
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    right = base64.b64encode(f"{ACCOUNT}:{keys.derive_text(KEY)}".encode()).decode()
    if scheme.lower() != "basic" or not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    try:
        form = dict(parse_qsl(request.body.decode("ascii"), max_num_fields=100))
    except ValueError:
        form = {}
    _check_form(form)
    query = parse_qs(urlsplit(form.get("StatusCallback", "")).query)
    return Submission(query.get(MESSAGE_FIELD, [""])[0], form["To"])


def _check_form(form: Mapping[str, str]) -> None:
    """Raises RequestRefused."""
    to, sender = form.get("To", ""), form.get("From", form.get("MessagingServiceSid", ""))
    if not is_phone_number(to.removeprefix(PREFIX)):
        raise RequestRefused(PROVIDER.refusals["address"])
    if not sender:
        raise RequestRefused(_twilio_error(400, 21603, "A 'From' phone number is required"))
    if to.startswith(PREFIX) != sender.startswith(PREFIX) and not sender.startswith("MG"):
        raise RequestRefused(
            _twilio_error(400, 63007, "Twilio could not find a Channel with the specified From address")
        )
    if not (form.get("Body") or (form.get("ContentSid") and to.startswith(PREFIX))):
        raise RequestRefused(_twilio_error(400, 21602, "Message body is required"))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(201, {"sid": f"SM{provider_id}", "status": "queued", "error_code": None})


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    sid, to = f"SM{statement.provider_id}", statement.submission.to
    if (text := REPLY_TEXTS.get(statement.kind)) is not None:
        return _sign_form(keys, {"MessageSid": f"SM{statement.id}", "From": to, "To": SENDER, "Body": text}, "")
    if statement.kind not in STATUSES:
        return None
    status, code = STATUSES[statement.kind]
    form = {"MessageSid": sid, "MessageStatus": status, "To": to, "From": SENDER, "AccountSid": ACCOUNT}
    query = urlencode({MESSAGE_FIELD: statement.submission.message_id})
    return _sign_form(keys, {**form, "ErrorCode": code} if code else form, query)


def _sign_form(keys: LabKeys, form: Mapping[str, str], query: str) -> ReceiptPost:
    url = RECEIPTS_URL + (f"?{query}" if query else "")
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    signature = base64.b64encode(hmac.digest(keys.derive_text(KEY).encode(), text.encode(), "sha1")).decode()
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return ReceiptPost(headers, urlencode(form).encode(), query)


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _twilio_error(401, 20003, "Authenticate"),
        "forbidden": _twilio_error(403, 21408, "Permission to send to this region has not been enabled"),
        "too_many": _twilio_error(429, 20429, "Too Many Requests"),
        "address": _twilio_error(400, 21211, "The 'To' number is not a valid phone number"),
        "error": _twilio_error(500, 20500, "Internal Server Error"),
    },
    write_receipt=_write_receipt,
)
