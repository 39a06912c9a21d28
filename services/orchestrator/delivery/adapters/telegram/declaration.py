"""The adapter `telegram`."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr, StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

_TOKEN: Final = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,80}")


def _check_token(token: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise ValueError("write the token that BotFather gave: digits, a colon, and letters")
    return token


PLACE_PATTERN: Final = r"^(-?[0-9]{1,18}|@[A-Za-z][A-Za-z0-9_]{3,31})$"
"""The id of a chat, or the public name of a channel."""


class TelegramSettings(MailApiSettings):
    """The token of a bot, and the channel of posts."""

    url: str = "https://api.telegram.org"
    key: Annotated[SecretKey, AfterValidator(_check_token)] | None = None
    posts: Annotated[str, StringConstraints(pattern=PLACE_PATTERN)] | None = None


def _check_telegram(settings: TelegramSettings) -> SettingsCheck:
    result = check_settings("telegram", "key")(settings)
    if result.remedy is None and settings.posts is None:
        return SettingsCheck(f"{result.detail}; no posts without TACTFUL_TELEGRAM__POSTS")
    return result


DECLARATION: Final = AdapterDeclaration(
    id="telegram",
    order=63,
    summary="",
    channels=frozenset({"chat", "social"}),
    is_addressed=True,
    settings=TelegramSettings,
    sample=(
        "The adapter telegram (docs/adapters/telegram.md): the token of a bot, and the channel, @name or the id of a",
        "chat, that posts of the channel social go to.",
    ),
    check=_check_telegram,
)
