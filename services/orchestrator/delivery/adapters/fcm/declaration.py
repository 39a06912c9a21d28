"""The adapter `fcm`."""

from typing import Final

from pydantic import SecretStr

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section


class FcmSettings(Section):
    """The JSON of a service account, and where the API answers."""

    service_account: SecretStr | None = None
    url: str = "https://fcm.googleapis.com"


def _check_account(settings: FcmSettings) -> SettingsCheck:
    if settings.service_account is None:
        return SettingsCheck("fcm without a service account", "set TACTFUL_FCM__SERVICE_ACCOUNT")
    return SettingsCheck(f"fcm, at {settings.url}")


DECLARATION: Final = AdapterDeclaration(
    id="fcm",
    order=40,
    summary="",
    channels=frozenset({"push"}),
    settings=FcmSettings,
    sample=(
        "The adapter fcm (docs/adapters/fcm.md): the JSON of a service account of the Firebase project, whole, best as",
        "a file of this name in TACTFUL_SECRETS_DIR. Its project and the place of its tokens are read from it.",
    ),
    check=_check_account,
)
