"""The adapter `resend`: one request to `/emails` for each message.

The header `Idempotency-Key` is our message id: within 24 hours Resend takes a message once, and answers a repetition as
it answered the first. So a message whose answer was lost is sent again.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.message import Message
from schemas.times import Instant
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
from services.orchestrator.delivery.adapters.provider_http import MAX_RETRY_AFTER, parse_retry_after
from services.orchestrator.delivery.channels.email.mail import Mail

MEANINGS: Final = (
    AnswerMeaning(400, 499, "validation_error.to", "rejected", "address"),
    AnswerMeaning(400, 499, "validation_error.from", "retry", "account"),
    AnswerMeaning(400, 499, "validation_error.reply_to", "retry", "account"),
    AnswerMeaning(400, 499, "invalid_from_address", "retry", "account"),
    AnswerMeaning(400, 499, "invalid_api_key", "retry", "account"),
    AnswerMeaning(400, 499, "missing_api_key", "retry", "account"),
    AnswerMeaning(400, 499, "restricted_api_key", "retry", "account"),
    AnswerMeaning(409, 409, "invalid_idempotent_request", "rejected", "content"),  # another body under this key
    AnswerMeaning(409, 409, None, "retry"),  # an earlier request with this key is not finished
    AnswerMeaning(429, 429, "daily_quota_exceeded", "retry", "throttle", MAX_RETRY_AFTER),
    AnswerMeaning(429, 429, "monthly_quota_exceeded", "retry", "account", MAX_RETRY_AFTER),
    *COMMON_MEANINGS,
)
_WRONG_FIELD: Final = re.compile(r"\s*invalid `(to|from|reply_to)` field", re.IGNORECASE)


def create_adapter(context: AdapterContext) -> MailApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    api = MailApi(
        id="resend",
        idempotent=True,
        authorization={"authorization": f"Bearer {require_setting(context.settings, 'resend', 'key')}"},
        build_request=_build_send_email,
        meanings=MEANINGS,
        read_code=_read_name,
        read_provider_id=lambda body, headers: find_text(body, "id"),
        read_wait=_read_rate_limit,
        concurrency=2,  # as many as a team may send in a second
    )
    return create_mail_api_adapter(api, context)


def _build_send_email(mail: Mail, message: Message) -> MailRequest:
    request: dict[str, Any] = {
        "from": str(mail.sender),
        "to": [mail.to],
        "subject": mail.subject,
        "html": mail.html,
        "text": mail.text,
        "headers": mail.headers,
        "tags": [{"name": MESSAGE_FIELD, "value": mail.message_id}],
    }
    if mail.reply_to is not None:
        request["reply_to"] = mail.reply_to
    if mail.attachments:
        request["attachments"] = [
            {"filename": each.name, "content": encode_content(each), "content_type": each.media_type}
            for each in mail.attachments
        ]
    return MailRequest("/emails", msgspec.json.encode(request), {"idempotency-key": mail.message_id})


def _read_name(body: Any) -> str:
    name = find_text(body, "name")
    field = _WRONG_FIELD.match(find_text(body, "message")) if name == "validation_error" else None
    return f"{name}.{field[1].lower()}" if field else name


def _read_rate_limit(headers: Mapping[str, str], now: Instant) -> float | None:
    """Seconds from Retry-After, or else until the window of the rate limit ends."""
    return parse_retry_after(headers.get("retry-after") or headers.get("ratelimit-reset"), now)
