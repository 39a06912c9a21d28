"""The adapter `postmark`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
StreamId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class PostmarkSettings(MailApiSettings):
    """A server token, the message streams of the server (one for marketing, one for all other mails), and who sends
    receipts.
    """

    url: str = "https://api.postmarkapp.com"
    stream: StreamId = "outbound"
    marketing_stream: StreamId = "broadcast"
    receipt_user: UserName | None = None
    receipt_password: SecretKey | None = None


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
        "password, of at least 16 characters, in the URL of its webhooks.",
    ),
    check=check_settings("postmark", "key"),
    has_receipts=True,
    receipts_need=("receipt_user", "receipt_password"),
)
