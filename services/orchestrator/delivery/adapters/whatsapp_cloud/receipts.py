"""Receipts and replies from Meta: batches of changes, signed with the secret of the app.

The signature covers the whole body and holds no time: what is sent again changes nothing, as each statement counts
once.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.receipt import MAX_REPLY, CustomerReply, Statement
from schemas.times import Instant
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    DELIVERED,
    FAILED,
    OPENED,
    ProviderStatement,
    ReceiptMeaning,
    make_key,
    read_instant,
    read_object,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.whatsapp_cloud.declaration import WhatsappCloudSettings
from services.orchestrator.delivery.adapters.whatsapp_cloud.error_codes import RECEIPT_MEANINGS

STATUSES: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {"delivered": DELIVERED, "read": OPENED, "failed": FAILED}
"""Status -> what it means if the error code does not say more. `sent` is no receipt."""
SIGNATURE_HEADER: Final = "x-hub-signature-256"
CHANNEL: Final = "whatsapp"
_NO_MESSAGES: Final = frozenset({"reaction", "system", "unsupported", "request_welcome"})
"""Types that stand among messages, and after which nothing says that free text may be sent."""
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def read_receipts(settings: WhatsappCloudSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader."""
    _check_signature(require_receipt_setting(settings, "whatsapp_cloud", "app_secret"), request)
    found: list[Statement] = []
    for value in _list_values(read_object(request.body)):
        for status in _objects(value.get("statuses")):
            found += _read_status(status).receipts("whatsapp_cloud", request.now)
        elsewhere = find_text(value, "metadata", "phone_number_id") != settings.phone_number_id
        found += _read_replies(value, request.now, elsewhere)
    return found


def answer_challenge(settings: WhatsappCloudSettings, request: ReceiptRequest) -> str:
    """See ChallengeAnswerer."""
    token = require_receipt_setting(settings, "whatsapp_cloud", "verify_token")
    given = request.query.get("hub.verify_token", "").encode("utf-8", "replace")
    challenge = request.query.get("hub.challenge", "")
    if request.query.get("hub.mode") != "subscribe" or not hmac.compare_digest(token.encode(), given):
        raise ReceiptRefused("hub.verify_token is not TACTFUL_WHATSAPP_CLOUD__VERIFY_TOKEN")
    if not _CHALLENGE.fullmatch(challenge):
        raise ReceiptRefused("hub.challenge is none that Meta writes")
    return challenge


def _list_values(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in _objects(body.get("entry")):
        for change in _objects(entry.get("changes")):
            value = change.get("value")
            if isinstance(value, dict):
                yield value


def _objects(found: Any) -> list[Mapping[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _read_status(status: Mapping[str, Any]) -> ProviderStatement:
    name, code, id = find_text(status, "status"), find_text(status, "errors", 0, "code"), find_text(status, "id")
    meanings = STATUSES.get(name, ())
    if name == "failed":
        meanings = RECEIPT_MEANINGS.get(code, meanings)
    return ProviderStatement(
        message_id=find_text(status, "biz_opaque_callback_data"),
        meanings=meanings,
        at=_read_seconds(status),
        identity=(id, name, code),
        codes=(name, code),
    )


def _read_replies(value: Mapping[str, Any], now: Instant, elsewhere: bool) -> Iterator[CustomerReply]:
    """What customers have written; `elsewhere`: to a number of the app that is not ours."""
    for message in _objects(value.get("messages")):
        id, sender, type = (find_text(message, name) for name in ("id", "from", "type"))
        if id and type not in _NO_MESSAGES:
            key, text = make_key("whatsapp_cloud", id, "reply"), _find_reply_text(message)[:MAX_REPLY]
            at = _read_seconds(message) or now
            yield CustomerReply(key, CHANNEL, _find_number(sender), text, at, elsewhere=elsewhere)
    for wish in _objects(value.get("user_preferences")):
        sender, at = find_text(wish, "wa_id"), _read_seconds(wish) or now
        is_stop = find_text(wish, "category") == "marketing_messages" and find_text(wish, "value") == "stop"
        if is_stop:
            key = make_key("whatsapp_cloud", sender, str(wish.get("timestamp")), "stop")
            yield CustomerReply(key, CHANNEL, _find_number(sender), "", at, "stop_advertising", elsewhere)


def _find_number(sender: str) -> str:
    """The number of a member of WhatsApp; empty for one who hides it."""
    return f"+{sender}" if sender.isascii() and sender.isdecimal() else ""


def _find_reply_text(message: Mapping[str, Any]) -> str:
    """What the customer wrote, or the words of the button that was pressed; empty for a picture without words."""
    places = (
        ("text", "body"),
        ("button", "text"),
        ("interactive", "button_reply", "title"),
        ("interactive", "list_reply", "title"),
        *((type, "caption") for type in ("image", "video", "document")),
    )
    return next(filter(None, (find_text(message, *place) for place in places)), "")


def _read_seconds(statement: Mapping[str, Any]) -> Instant | None:
    """The instant of a timestamp, which Meta writes as a text or a number of seconds."""
    value = statement.get("timestamp")
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12:
        return read_instant(int(value))
    return read_instant(value)


def _check_signature(secret: str, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless the body is signed with the secret of the app."""
    right = f"sha256={hmac.digest(secret.encode(), request.body, 'sha256').hex()}"
    given = request.headers.get(SIGNATURE_HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(right.encode(), given):
        raise ReceiptRefused(
            "X-Hub-Signature-256 does not fit the body: TACTFUL_WHATSAPP_CLOUD__APP_SECRET is the secret of the app"
        )
