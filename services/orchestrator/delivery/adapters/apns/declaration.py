"""The adapter `apns`."""

from typing import Annotated, Final

from pydantic import Field, SecretStr

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{10}$")]


class ApnsSettings(Section):
    """A key of an Apple developer team, the app that messages are for, and which of Apple's two places sends them."""

    key: SecretStr | None = None
    key_id: _Id | None = None
    team_id: _Id | None = None
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,255}$")] | None = None
    url: str = "https://api.push.apple.com"


REQUIRED: Final = ("key", "key_id", "team_id", "topic")


def _check_key_settings(settings: ApnsSettings) -> SettingsCheck:
    missing = [name for name in REQUIRED if getattr(settings, name) is None]
    if missing:
        variables = " and ".join(f"TACTFUL_APNS__{name.upper()}" for name in missing)
        return SettingsCheck(f"apns without {' and '.join(missing)}", f"set {variables}")
    return SettingsCheck(f"apns for {settings.topic}, at {settings.url}")


DECLARATION: Final = AdapterDeclaration(
    id="apns",
    order=41,
    summary="",
    channels=frozenset({"push"}),
    settings=ApnsSettings,
    key_fields=frozenset({"key_id", "team_id"}),
    sample=(
        "The adapter apns (docs/adapters/apns.md): the content of a .p8 key, best as a file of this name in",
        "TACTFUL_SECRETS_DIR, its id, the team's id, and the bundle id of the app. Builds for development get their",
        "messages from https://api.sandbox.push.apple.com alone.",
    ),
    check=_check_key_settings,
)
