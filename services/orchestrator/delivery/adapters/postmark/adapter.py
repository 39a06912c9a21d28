"""The adapter `postmark`: one request to `/email` for each message.

Postmark does not recognise a message that it already has, but can be asked for it (`message_search.py`). Its errors
have a number, `ErrorCode`, which may stand in an answer with status 200, too; 0 is none. Number 300 is for all fields,
so the field that its text names is added to it, and `inactive` is our word for an answer without error that says the
recipient will not get it.
"""

import re
from functools import partial
from typing import Any, Final

import msgspec

from schemas.message import Message
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import (
    COMMON_MEANINGS,
    MESSAGE_FIELD,
    NO_CODE,
    AnswerMeaning,
    MailApi,
    MailApiAdapter,
    MailRequest,
    create_mail_api_adapter,
    encode_content,
    find_text,
)
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.postmark.declaration import PostmarkSettings
from services.orchestrator.delivery.adapters.postmark.message_search import create_search
from services.orchestrator.delivery.channels.email.mail import Mail

MEANINGS: Final = (
    AnswerMeaning(200, 499, "10", "retry", "account"),  # bad or missing token
    AnswerMeaning(200, 599, "100", "retry"),  # maintenance
    AnswerMeaning(200, 499, "300.to", "rejected", "address"),
    AnswerMeaning(200, 499, "300.from", "retry", "account"),
    AnswerMeaning(200, 499, "300.reply-to", "retry", "account"),
    AnswerMeaning(200, 499, "300", "rejected", "content"),
    AnswerMeaning(200, 499, "400", "retry", "account"),  # no such sender
    AnswerMeaning(200, 499, "401", "retry", "account"),  # sender not confirmed
    AnswerMeaning(200, 499, "405", "retry", "account"),  # may not send: credit used up
    AnswerMeaning(200, 499, "406", "rejected", "address"),  # inactive: bounced or complained before
    AnswerMeaning(200, 499, "410", "rejected", "content"),
    AnswerMeaning(200, 499, "411", "rejected", "content"),
    AnswerMeaning(200, 499, "412", "retry", "account"),  # account not approved yet
    AnswerMeaning(200, 499, "413", "retry", "account"),  # account closed for sending
    AnswerMeaning(200, 499, "429", "retry", "throttle"),
    AnswerMeaning(200, 499, "1235", "retry", "account"),  # no such message stream
    AnswerMeaning(200, 499, "1236", "retry", "account"),  # this message stream does not send
    AnswerMeaning(200, 299, "inactive", "rejected", "address"),
    AnswerMeaning(200, 299, NO_CODE, "accepted"),
    AnswerMeaning(200, 299, None, "rejected", "content"),  # an error that is not listed here
    *COMMON_MEANINGS,
)
_WRONG_FIELD: Final = re.compile(r"\s*(?:invalid|error\s+parsing)\s+'(to|from|reply-to)'", re.IGNORECASE)


def create_adapter(context: AdapterContext) -> MailApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    key = require_setting(context.settings, "postmark", "key")
    api = MailApi(
        id="postmark",
        idempotent=False,
        authorization={"x-postmark-server-token": key},
        build_request=partial(_build_email, context.settings),
        meanings=MEANINGS,
        read_code=_read_error_code,
        read_provider_id=lambda body, headers: find_text(body, "MessageID"),
        concurrency=10,
        search=create_search(context.settings, key),
    )
    return create_mail_api_adapter(api, context)


def _build_email(settings: PostmarkSettings, mail: Mail, message: Message) -> MailRequest:
    headers = {**mail.headers, "X-PM-KeepID": "true"}  # or Postmark replaces our Message-ID
    request: dict[str, Any] = {
        "From": str(mail.sender),
        "To": mail.to,
        "Subject": mail.subject,
        "HtmlBody": mail.html,
        "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
        "Metadata": {MESSAGE_FIELD: mail.message_id},
        "MessageStream": settings.marketing_stream if message.cls == "marketing" else settings.stream,
    }
    if mail.text:
        request["TextBody"] = mail.text
    if mail.reply_to is not None:
        request["ReplyTo"] = mail.reply_to
    if mail.attachments:
        request["Attachments"] = [
            {"Name": each.name, "Content": encode_content(each), "ContentType": each.media_type}
            for each in mail.attachments
        ]
    return MailRequest("/email", msgspec.json.encode(request), {"accept": "application/json"})


def _read_error_code(body: Any) -> str:
    number, text = find_text(body, "ErrorCode"), find_text(body, "Message")
    if number in ("", "0"):
        return "inactive" if "not deliver to these inactive" in text else NO_CODE
    field = _WRONG_FIELD.match(text) if number == "300" else None
    return f"{number}.{field[1].lower()}" if field else number
