"""The adapter `app_inbox`."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section
from services.kit.runtime.settings import StrongKey

MIN_SECRET_BYTES: Final = 32
MAX_ORIGINS: Final = 20
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?")


def parse_origins(text: str) -> frozenset[str]:
    """The origins of pages that may ask: `https://app.example.com, https://m.example.com`. Raises ValueError."""
    origins = [each.strip() for each in text.split(",") if each.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"`{origin[:100]}`: write scheme and host in small letters, as in https://app.example.com")
    if len(origins) > MAX_ORIGINS:
        raise ValueError(f"at most {MAX_ORIGINS} origins")
    return frozenset(origins)


def _check_origins(text: str) -> str:
    parse_origins(text)
    return text


def _require_bytes(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"needs at least {MIN_SECRET_BYTES} bytes: HS256 is only as strong as its secret")
    return secret


TokenSecret = Annotated[StrongKey, AfterValidator(_require_bytes)]


class AppInboxSettings(Section):
    """Who may read the inbox, and how much of it there is.

    `secret`: with which the company's back end signs the tokens of its customers; without it nobody can read.
    `previous_secret`: still accepted, for as long as a change of the secret takes. `origins`: of the pages that may ask
    from a browser. `keep_days`: for how long messages stay. `streams`: how many live streams a process holds.
    """

    secret: TokenSecret | None = None
    previous_secret: TokenSecret | None = None
    origins: Annotated[str, AfterValidator(_check_origins)] = ""
    keep_days: int = Field(default=90, ge=1, le=3_650)
    streams: int = Field(default=500, ge=0, le=10_000)


def _check_app_inbox(settings: AppInboxSettings) -> SettingsCheck:
    if settings.secret is None:
        return SettingsCheck("inbox that nobody can read", "set TACTFUL_APP_INBOX__SECRET (docs/inbox.md)")
    if settings.previous_secret == settings.secret:
        return SettingsCheck("inbox with one secret twice", "unset TACTFUL_APP_INBOX__PREVIOUS_SECRET")
    origins = len(parse_origins(settings.origins))
    pages = f"pages of {origins} origin{'s' * (origins != 1)}" if origins else "apps, and pages of its own origin alone"
    also = ", two secrets: unset the previous one once all use the new one" * (settings.previous_secret is not None)
    return SettingsCheck(f"inbox for {pages}{also}")


DECLARATION: Final = AdapterDeclaration(
    id="app_inbox",
    order=22,
    summary="the inbox of your own app",
    channels=frozenset({"in_app"}),
    destination="customer",
    settings=AppInboxSettings,
    sample=(
        "The adapter app_inbox (docs/inbox.md): the secret with which your back end signs the tokens of customers, at",
        "least 32 bytes, and the one before it while you change it; the origins of your pages, as in",
        "https://app.example.com, separated by commas; days that messages stay; live streams of one process.",
    ),
    check=_check_app_inbox,
    has_api=True,
    has_retention=True,
    confirms_by_itself=True,
)
