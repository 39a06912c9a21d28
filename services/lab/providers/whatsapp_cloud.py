"""Meta's WhatsApp Cloud API: `POST /v24.0/NUMBER/messages`. Takes whatever comes; receipts are batches of changes,
signed with the secret of the app.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.times import SECOND, Instant
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
    is_phone_number,
    read_json,
)

KEY, SECRET, TOKEN = "whatsapp_cloud key", "whatsapp_cloud secret", "whatsapp_cloud token"
NUMBER_ID: Final = "100000000000001"
_PATH: Final = re.compile(rf"/v[0-9]+\.[0-9]+/{NUMBER_ID}/(messages|marketing_messages)")
STATUSES: Final[Mapping[str, tuple[str, int | None]]] = {
    "delivered": ("delivered", None),
    "bounced": ("failed", 131026),
    "soft_bounced": ("failed", 131026),
    "failed": ("failed", 131049),
    "opened": ("read", None),
}
"""Kind of a statement -> status and error code. Nothing is said of complaints and clicks; who unsubscribes writes STOP.
"""


def _graph_error(status: int, code: int, text: str) -> LabAnswer:
    error = {"message": f"(#{code}) {text}", "type": "OAuthException", "code": code, "fbtrace_id": "lab"}
    return LabAnswer(status, {"error": error})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {
        "url": url,
        "key": keys.derive_text(KEY),
        "phone_number_id": NUMBER_ID,
        "app_secret": keys.derive_text(SECRET),
        "verify_token": keys.derive_text(TOKEN),
    }


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    path = _PATH.fullmatch(request.path)
    if request.method != "POST" or path is None:
        raise RequestRefused(_graph_error(404, 100, "Unsupported request"))
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not keys.is_key(KEY, key):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    message = read_json(request.body)
    if not isinstance(message, dict) or find_text(message, "messaging_product") != "whatsapp":
        raise RequestRefused(_graph_error(400, 100, "The parameter messaging_product is required."))
    to = find_text(message, "to")
    if not is_phone_number(to):
        raise RequestRefused(_graph_error(400, 131009, "Parameter value is not valid"))
    _check_content(message, path[1])
    return Submission(find_text(message, "biz_opaque_callback_data"), to)


def _check_content(message: Mapping[str, Any], resource: str) -> None:
    """Raises RequestRefused for what is no text and no template."""
    match find_text(message, "type"):
        case "text" if find_text(message, "text", "body") and resource == "messages":
            return
        case "template" if find_text(message, "template", "name") and find_text(
            message, "template", "language", "code"
        ):
            return
    raise RequestRefused(_graph_error(400, 131008, "Required parameter is missing"))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    contact = {"input": submission.to, "wa_id": submission.to.removeprefix("+")}
    return LabAnswer(
        200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": f"wamid.{provider_id}"}]}
    )


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    customer, seconds = statement.submission.to.removeprefix("+"), str(statement.at // SECOND)
    told: dict[str, Any]
    if (text := REPLY_TEXTS.get(statement.kind)) is not None:
        message = {"from": customer, "id": f"wamid.{statement.id}", "timestamp": seconds, "type": "text"}
        told = {"messages": [{**message, "text": {"body": text}}]}
    elif statement.kind in STATUSES:
        name, code = STATUSES[statement.kind]
        status = {"id": f"wamid.{statement.provider_id}", "status": name, "timestamp": seconds}
        status |= {"recipient_id": customer, "biz_opaque_callback_data": statement.submission.message_id}
        told = {"statuses": [status if code is None else {**status, "errors": [{"code": code}]}]}
    else:
        return None
    metadata = {"display_phone_number": "15550000001", "phone_number_id": NUMBER_ID}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **told}
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
    digest = hmac.digest(keys.derive_text(SECRET).encode(), body, "sha256").hex()
    return ReceiptPost({"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}, body)


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _graph_error(401, 190, "Error validating access token"),
        "forbidden": _graph_error(403, 131005, "Access denied"),
        "too_many": _graph_error(429, 130429, "Rate limit hit"),
        "address": _graph_error(400, 131026, "Message undeliverable"),
        "error": _graph_error(500, 131000, "Something went wrong"),
    },
    write_receipt=_write_receipt,
)
