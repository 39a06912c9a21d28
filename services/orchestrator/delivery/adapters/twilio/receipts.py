"""Receipts and replies from Twilio: one form for each, signed with the auth token.

The signature covers the URL that Twilio called, and all fields of the form by their names. It holds no time: who has
seen a request could send it again, and nothing would happen, as each statement counts once.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from schemas.receipt import MAX_REPLY, CustomerReply, ReplyKeyword, Statement
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    DELIVERED,
    FAILED,
    MAX_BODY,
    OPENED,
    ProviderStatement,
    ReceiptMeaning,
    make_key,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.text_api import status_meanings
from services.orchestrator.delivery.adapters.twilio.declaration import WHATSAPP_PREFIX, TwilioSettings
from services.orchestrator.delivery.adapters.twilio.error_codes import ERROR_CODES

MAX_FIELDS: Final = 200
STATUSES: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    "delivered": DELIVERED,
    "read": OPENED,
    "undelivered": BOUNCED,
    "failed": FAILED,
    "canceled": FAILED,
}
"""MessageStatus -> what it means if the error code does not say more. `sent` and what comes before it is no receipt."""
OPT_OUT_TYPES: Final[Mapping[str, ReplyKeyword]] = {"STOP": "stop", "START": "start", "HELP": "help"}
"""What Advanced Opt-Out, if it is switched on, has understood a reply to be."""
SIGNATURE_HEADER: Final = "x-twilio-signature"
Form = Mapping[str, Sequence[str]]


def read_receipts(settings: TwilioSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader. The signature covers the fields of the form, so it has to be read before it can be checked."""
    form = _read_form(request.body)
    _check_signature(settings, request, form)
    if "MessageStatus" in form:
        return list(_read_status(form, request).receipts("twilio", request.now))
    return _read_reply(form, request)


def _read_status(form: Form, request: ReceiptRequest) -> ProviderStatement:
    sid, status, code = (_field(form, name) for name in ("MessageSid", "MessageStatus", "ErrorCode"))
    return ProviderStatement(
        message_id=request.query.get(MESSAGE_FIELD, ""),
        meanings=status_meanings(STATUSES, status, ERROR_CODES.get(code)),
        at=None,
        identity=(sid, status, code),
        codes=(status, code),
    )


def _read_reply(form: Form, request: ReceiptRequest) -> Sequence[Statement]:
    sid, sender = _field(form, "MessageSid"), _field(form, "From")
    is_whatsapp = sender.startswith(WHATSAPP_PREFIX)
    address = sender.removeprefix(WHATSAPP_PREFIX)
    if not (sid and "Body" in form and address.startswith("+")):
        return []
    return [
        CustomerReply(
            key=make_key("twilio", sid, "reply"),
            channel="whatsapp" if is_whatsapp else "sms",
            address=address,
            text=_field(form, "Body")[:MAX_REPLY],
            at=request.now,
            keyword=OPT_OUT_TYPES.get(_field(form, "OptOutType").upper()),
        )
    ]


def _read_form(body: bytes) -> Form:
    """The fields of a form. Raises Malformed."""
    if len(body) > MAX_BODY:
        raise Malformed(f"the body has more than {MAX_BODY} bytes")
    form: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Malformed(f"the body is no form: {type(error).__name__}") from None
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def _field(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _check_signature(settings: TwilioSettings, request: ReceiptRequest, form: Form) -> None:
    """Raises ReceiptRefused unless the request is signed with our auth token for the URL that it came to."""
    field = "key" if settings.auth_token is None and settings.key_sid is None else "auth_token"
    token = require_receipt_setting(settings, "twilio", field)
    url = require_receipt_setting(settings, "twilio", "receipts_url")
    fields = "".join(f"{name}{value}" for name in sorted(form) for value in sorted(set(form[name])))
    query = f"?{request.query_text}" if request.query_text else ""
    given = request.headers.get(SIGNATURE_HEADER, "").encode("utf-8", "replace")
    right = [_sign(token, f"{each}{query}{fields}") for each in _spellings(url)]
    if not any(hmac.compare_digest(each, given) for each in right):
        raise ReceiptRefused(
            "X-Twilio-Signature does not fit: TACTFUL_TWILIO__RECEIPTS_URL must be the URL that Twilio calls, and "
            f"TACTFUL_TWILIO__{field.upper()} the auth token of the account"
        )


def _spellings(url: str) -> tuple[str, ...]:
    """The URL as it is set, and without and with the port 443: Twilio may sign any of them."""
    parts = urlsplit(url)
    if parts.port not in (None, 443):
        return (url,)
    hosts = (parts.hostname or "", f"{parts.hostname}:443")
    return (url, *(parts._replace(netloc=host).geturl() for host in hosts))


def _sign(token: str, text: str) -> bytes:
    return base64.b64encode(hmac.digest(token.encode(), text.encode("utf-8", "replace"), "sha1"))
