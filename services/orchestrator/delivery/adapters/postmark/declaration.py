"""The adapter `postmark`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration, ProviderSearch
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import (
    AbsenceAge,
    MailApiSettings,
    absence_age,
    check_settings,
)

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
StreamId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class PostmarkSettings(MailApiSettings):
    """A server token, the message streams of the server (one for marketing, one for all other mails), and who sends
    receipts.

    `absent_after`: seconds after which its search shows every message that it has had. Postmark promises none, so by
    default (0) a message that is not found stays unknown.
    """

    url: str = "https://api.postmarkapp.com"
    stream: StreamId = "outbound"
    marketing_stream: StreamId = "broadcast"
    receipt_user: UserName | None = None
    receipt_password: SecretKey | None = None
    absent_after: AbsenceAge = 0.0


_SHOWN_FOR: Final = 7 * 86_400.0
"""Seconds: the shortest retention that can be chosen."""


DECLARATION: Final = AdapterDeclaration(
    id="postmark",
    order=26,
    summary="",
    channels=frozenset({"email"}),
    sends_mail=True,
    settings=PostmarkSettings,
    key_fields=frozenset({"receipt_user"}),
    sample=(
        "The adapter postmark (docs/adapters/postmark.md): the API token of a server, and two of its message streams:",
        "MARKETING_STREAM for mails of the class marketing, STREAM for all others. For receipts: the user and the",
        "password, of at least 16 characters, in the URL of its webhooks. What its search does not show ABSENT_AFTER",
        "seconds after a handover without an answer is sent again; 0: never, because Postmark names no such time.",
    ),
    check=check_settings("postmark", "key"),
    search=lambda settings: ProviderSearch(_SHOWN_FOR, absence_age(settings.absent_after)),
    has_receipts=True,
    receipts_need=("receipt_user", "receipt_password"),
)
