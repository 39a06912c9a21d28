"""The adapter `sendgrid`: one request to `/v3/mail/send` for each message.

SendGrid does not recognise a message that it already has. Its errors have no codes; the field that they name serves as
one, without the numbers in it: `personalizations.to.email`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.message import Message
from schemas.times import SECOND, Instant
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import (
    COMMON_MEANINGS,
    MESSAGE_FIELD,
    AnswerMeaning,
    MailApi,
    MailApiAdapter,
    MailRequest,
    create_mail_api_adapter,
    encode_content,
    find_text,
)
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.provider_http import parse_retry_after
from services.orchestrator.delivery.channels.email.mail import Mail

MEANINGS: Final = (
    AnswerMeaning(400, 400, "personalizations.to.email", "rejected", "address"),
    AnswerMeaning(400, 400, "from", "retry", "account"),
    AnswerMeaning(400, 400, "from.email", "retry", "account"),
    AnswerMeaning(400, 400, "reply_to", "retry", "account"),
    AnswerMeaning(400, 400, "reply_to.email", "retry", "account"),
    *COMMON_MEANINGS,
)
RESERVED_HEADERS: Final = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"}
    | {"to", "from", "subject", "reply-to", "cc", "bcc"}
)
"""SendGrid writes them itself, and refuses a mail that has one."""
_INDEX: Final = re.compile(r"\.\d+(?=\.|$)")
_NOT_IN_NAMES: Final = re.compile(r"[,;\s]+")
"""SendGrid reads a name with a comma or a semicolon as several."""


def create_adapter(context: AdapterContext) -> MailApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    key = require_setting(context.settings, "sendgrid", "key")
    api = MailApi(
        id="sendgrid",
        idempotent=False,
        authorization={"authorization": f"Bearer {key}"},
        build_request=build_mail_send,
        meanings=MEANINGS,
        read_code=_read_field,
        read_provider_id=lambda body, headers: headers.get("x-message-id", ""),
        read_wait=_read_rate_limit_reset,
    )
    return create_mail_api_adapter(api, context)


def build_mail_send(mail: Mail, message: Message) -> MailRequest:
    """The request for a mail."""
    sender = {"email": mail.sender.addr_spec}
    if name := _NOT_IN_NAMES.sub(" ", mail.sender.display_name).strip():
        sender["name"] = name
    parts = (("text/plain", mail.text), ("text/html", mail.html))  # in this order, or SendGrid refuses them
    request: dict[str, Any] = {
        "personalizations": [{"to": [{"email": mail.to}], "custom_args": {MESSAGE_FIELD: mail.message_id}}],
        "from": sender,
        "subject": mail.subject,
        "content": [{"type": kind, "value": value} for kind, value in parts if value],
        "headers": {name: value for name, value in mail.headers.items() if name.lower() not in RESERVED_HEADERS},
    }
    if mail.reply_to is not None:
        request["reply_to"] = {"email": mail.reply_to}
    if mail.attachments:
        request["attachments"] = [
            {"content": encode_content(each), "type": each.media_type, "filename": each.name}
            for each in mail.attachments
        ]
    return MailRequest("/v3/mail/send", msgspec.json.encode(request))


def _read_field(body: Any) -> str:
    return _INDEX.sub("", find_text(body, "errors", 0, "field"))


def _read_rate_limit_reset(headers: Mapping[str, str], now: Instant) -> float | None:
    """Seconds until the second of the epoch in X-RateLimit-Reset, if nothing remains until then."""
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining", "0") == "0" and reset.isascii() and reset.isdecimal() and len(reset) < 12:
        return parse_retry_after(str(max(0, int(reset) - now // SECOND)), now)
    return parse_retry_after(headers.get("retry-after"), now)
