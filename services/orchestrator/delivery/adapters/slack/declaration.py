"""The adapter `slack`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

ConversationId = Annotated[str, StringConstraints(pattern=r"^[CDGUW][A-Z0-9]{4,30}$")]


class SlackSettings(MailApiSettings):
    """The token of a bot, and the conversation of posts."""

    url: str = "https://slack.com/api"
    posts: ConversationId | None = None


def _check_slack(settings: SlackSettings) -> SettingsCheck:
    result = check_settings("slack", "key")(settings)
    if result.remedy is None and not settings.key.get_secret_value().startswith("xoxb-"):  # type: ignore[union-attr]
        return SettingsCheck("slack, a key that is no token of a bot", "set TACTFUL_SLACK__KEY to one: xoxb-...")
    if result.remedy is None and settings.posts is None:
        return SettingsCheck(f"{result.detail}; no posts without TACTFUL_SLACK__POSTS")
    return result


DECLARATION: Final = AdapterDeclaration(
    id="slack",
    order=60,
    summary="",
    channels=frozenset({"chat", "social"}),
    is_addressed=True,
    settings=SlackSettings,
    sample=(
        "The adapter slack (docs/adapters/slack.md): the token of a bot with the scope chat:write, and the id of the",
        "conversation that posts of the channel social go to.",
    ),
    check=_check_slack,
)
