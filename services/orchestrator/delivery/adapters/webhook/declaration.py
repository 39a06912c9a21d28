"""The adapter `webhook`."""

from typing import Final

from pydantic import Field

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section
from services.kit.runtime.settings import SecretKey


class WebhookSettings(Section):
    """Where messages are posted, and the secret that signs them."""

    url: str | None = Field(default=None, repr=False)
    secret: SecretKey | None = None


def _check(settings: WebhookSettings) -> SettingsCheck:
    if settings.url is None or settings.secret is None:
        return SettingsCheck("webhook without address or secret", "set TACTFUL_WEBHOOK__URL and __SECRET")
    return SettingsCheck("webhook, signed")


DECLARATION: Final = AdapterDeclaration(
    id="webhook",
    order=20,
    summary="",
    settings=WebhookSettings,
    sample=("The webhook adapter: where it posts, and the secret that signs each request. At least 16 characters.",),
    check=_check,
    has_receipts=True,
    receipts_need=("secret",),
)
