"""The adapter `discord`."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings
from services.orchestrator.delivery.adapters.named_webhooks import parse_webhooks

HOSTS: Final = frozenset({"discord.com", "ptb.discord.com", "canary.discord.com", "discordapp.com"})
_WEBHOOK_PATH: Final = re.compile(r"/api(?:/v[0-9]{1,2})?/webhooks/([0-9]{17,20})/([A-Za-z0-9_-]{20,120})")


class Webhook(NamedTuple):
    """The two parts of a webhook's URL. `token`: whoever has it can post."""

    id: str
    token: str


def read_webhooks(text: SecretStr | None) -> Mapping[str, Webhook]:
    """The webhooks of a setting, by name. Raises ValueError, which repeats no URL."""
    return {name: _read_webhook(name, url) for name, url in parse_webhooks(text).items()}


def _read_webhook(name: str, url: str) -> Webhook:
    parts = urlsplit(url)
    found = _WEBHOOK_PATH.fullmatch(parts.path)
    if parts.scheme != "https" or parts.netloc not in HOSTS or found is None:
        raise ValueError(f"`{name}` is no webhook of Discord: https://discord.com/api/webhooks/ID/TOKEN")
    return Webhook(*found.groups())


def _check_webhooks(text: SecretStr) -> SecretStr:
    read_webhooks(text)
    return text


class DiscordSettings(MailApiSettings):
    """The token of a bot, or webhooks by name, or both; and the place of posts."""

    url: str = "https://discord.com/api/v10"
    webhooks: Annotated[SecretStr, AfterValidator(_check_webhooks)] | None = None
    posts: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] | None = None


def _check_discord(settings: DiscordSettings) -> SettingsCheck:
    count = len(read_webhooks(settings.webhooks))
    if settings.key is None and not count:
        return SettingsCheck("discord without a bot and webhooks", "set TACTFUL_DISCORD__KEY or __WEBHOOKS")
    ways = [*(["a bot"] if settings.key is not None else []), *([f"webhooks: {count}"] if count else [])]
    posts = "" if settings.posts is not None else "; no posts without TACTFUL_DISCORD__POSTS"
    return SettingsCheck(f"discord, {', '.join(ways)}, at {settings.url}{posts}")


DECLARATION: Final = AdapterDeclaration(
    id="discord",
    order=61,
    summary="",
    channels=frozenset({"chat", "social"}),
    is_addressed=True,
    remembers_for=120.0,
    settings=DiscordSettings,
    sample=(
        "The adapter discord (docs/adapters/discord.md): the token of a bot; or JSON of names and webhook URLs such as",
        '{"news": "https://discord.com/api/webhooks/ID/TOKEN"}, which are secrets; and the id of the channel, or the',
        "name of the webhook, that posts of the channel social go to.",
    ),
    check=_check_discord,
)
