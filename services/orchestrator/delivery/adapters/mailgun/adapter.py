"""The adapter `mailgun`: one form posted to `/v3/DOMAIN/messages` for each message.

Mailgun does not recognise a message that it already has, but can be asked for it (`event_search.py`). Its errors are
texts without codes; the parameter that a text begins with serves as one.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

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
    find_text,
)
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.mailgun.event_search import create_search
from services.orchestrator.delivery.channels.email.attachments import Attachment
from services.orchestrator.delivery.channels.email.mail import Mail

MEANINGS: Final = (
    AnswerMeaning(400, 400, "to", "rejected", "address"),
    AnswerMeaning(400, 400, "from", "retry", "account"),
    *COMMON_MEANINGS,
)
_WRONG_PARAMETER: Final = re.compile(r"\s*'?(to|from)'? parameter is not a valid", re.IGNORECASE)


def create_adapter(context: AdapterContext) -> MailApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    key = require_setting(context.settings, "mailgun", "key")
    domain = require_setting(context.settings, "mailgun", "domain")
    api = MailApi(
        id="mailgun",
        idempotent=False,
        authorization={"authorization": f"Basic {base64.b64encode(f'api:{key}'.encode()).decode()}"},
        build_request=partial(_build_form, f"/v3/{domain}/messages"),
        meanings=MEANINGS,
        read_code=_read_parameter,
        read_provider_id=lambda body, headers: find_text(body, "id").strip("<>"),  # as its events write it
        search=create_search(context.settings, domain),
    )
    return create_mail_api_adapter(api, context)


def _build_form(path: str, mail: Mail, message: Message) -> MailRequest:
    form = {
        "from": str(mail.sender),
        "to": mail.to,
        "subject": mail.subject,
        "html": mail.html,
        f"v:{MESSAGE_FIELD}": mail.message_id,
        **{f"h:{name}": value for name, value in mail.headers.items()},
    }
    if mail.text:
        form["text"] = mail.text
    if mail.reply_to is not None:
        form["h:Reply-To"] = mail.reply_to
    if not mail.attachments:
        return MailRequest(path, urlencode(form).encode(), content_type="application/x-www-form-urlencoded")
    boundary = f"tactful-{hashlib.sha256(mail.message_id.encode()).hexdigest()}"
    content = _write_multipart(form, mail.attachments, boundary.encode())
    return MailRequest(path, content, content_type=f"multipart/form-data; boundary={boundary}")


def _write_multipart(form: Mapping[str, str], files: Sequence[Attachment], boundary: bytes) -> bytes:
    """The form with files. Raises ValueError where a value holds the boundary, so that none can end its part early.
    Names of fields are our own, and those of files are checked (`attachments.py`): none can hold a quote.
    """
    parts = [(f'name="{name}"', "text/plain; charset=utf-8", value.encode()) for name, value in form.items()]
    parts += [(f'name="attachment"; filename="{each.name}"', each.media_type, each.content) for each in files]
    lines: list[bytes] = []
    for name, media_type, content in parts:
        if boundary in content:
            raise ValueError("a part that cannot be written")
        lines += [b"--" + boundary, f"Content-Disposition: form-data; {name}".encode()]
        lines += [f"Content-Type: {media_type}".encode(), b"", content]
    return b"\r\n".join([*lines, b"--" + boundary + b"--", b""])


def _read_parameter(body: Any) -> str:
    parameter = _WRONG_PARAMETER.match(find_text(body, "message"))
    return parameter[1].lower() if parameter else NO_CODE
