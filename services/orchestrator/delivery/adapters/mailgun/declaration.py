"""The adapter `mailgun`."""

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

DomainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]


class MailgunSettings(MailApiSettings):
    """A sending key, the domain that it is for, the API of the domain's region, and the key that signs receipts.

    `search_key`: one that may read events, as a sending key may not. `absent_after`: seconds after which its events are
    complete; Mailgun's manual speaks of half an hour. 0: they never prove that a message did not arrive.
    """

    url: str = "https://api.mailgun.net"
    domain: DomainName | None = None
    signing_key: SecretKey | None = None
    search_key: SecretKey | None = None
    absent_after: AbsenceAge = 3600.0


_SHOWN_FOR: Final = 86_400.0
"""Seconds: free accounts see events for a day."""


def _find_search(settings: MailgunSettings) -> ProviderSearch | None:
    if settings.search_key is None:
        return None
    return ProviderSearch(_SHOWN_FOR, absence_age(settings.absent_after))


DECLARATION: Final = AdapterDeclaration(
    id="mailgun",
    order=28,
    summary="",
    channels=frozenset({"email"}),
    sends_mail=True,
    settings=MailgunSettings,
    sample=(
        "The adapter mailgun (docs/adapters/mailgun.md): a sending key, the URL of the API, and the domain that sends;",
        "for domains of the region EU: https://api.eu.mailgun.net. For receipts: the HTTP webhook signing key.",
        "SEARCH_KEY: an API key that may read events, to find out what became of messages without an answer. What is",
        "not among them ABSENT_AFTER seconds later is sent again; 0: never.",
    ),
    check=check_settings("mailgun", "key", "domain"),
    search=_find_search,
    has_receipts=True,
    receipts_need=("signing_key",),
)
