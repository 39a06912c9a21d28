"""The adapter `webhook`."""

from typing import Final

from pydantic import Field

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section
from services.kit.runtime.settings import SecretKey


class WebhookSettings(Section):
    """Where messages are posted, and the secret that signs them. `second_secret` signs as well while one replaces the
    other: receivers and receipts may use either.
    """

    url: str | None = Field(default=None, repr=False)
    secret: SecretKey | None = None
    second_secret: SecretKey | None = None


def _check(settings: WebhookSettings) -> SettingsCheck:
    if settings.url is None or settings.secret is None:
        return SettingsCheck("webhook without address or secret", "set TACTFUL_WEBHOOK__URL and __SECRET")
    return SettingsCheck("webhook, signed" if settings.second_secret is None else "webhook, signed with two secrets")


DECLARATION: Final = AdapterDeclaration(
    id="webhook",
    order=20,
    summary="",
    settings=WebhookSettings,
    sample=(
        "The webhook adapter (docs/adapters/webhook.md): where it posts, and the secret that signs, whsec_...",
        "With __SECOND_SECRET there are two signatures, while one secret replaces the other.",
    ),
    check=_check,
    has_receipts=True,
    receipts_need=("secret",),
)
