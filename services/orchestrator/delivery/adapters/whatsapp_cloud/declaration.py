"""The adapter `whatsapp_cloud`."""

from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

PhoneNumberId = Annotated[str, StringConstraints(pattern="^[0-9]{5,30}$")]
GraphVersion = Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$")]


class WhatsappCloudSettings(MailApiSettings):
    """The token of a system user, the number that sends, and what proves that receipts come from Meta.

    `key`: the access token. `marketing_path`: where templates of marketing campaigns are posted. `app_secret`: signs
    receipts. `verify_token`: what Meta shows when it asks whether the address of the receipts is meant for it.
    """

    url: str = "https://graph.facebook.com"
    version: GraphVersion = "v24.0"
    phone_number_id: PhoneNumberId | None = None
    marketing_path: Literal["messages", "marketing_messages"] = "messages"
    app_secret: SecretKey | None = None
    verify_token: SecretKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="whatsapp_cloud",
    order=50,
    summary="",
    channels=frozenset({"whatsapp"}),
    settings=WhatsappCloudSettings,
    sample=(
        "The adapter whatsapp_cloud (docs/adapters/whatsapp_cloud.md): the token of a system user as KEY, the id of",
        "the number that sends; for receipts and STOP: the app's secret, and a token of your own that Meta shows when",
        "it asks for https://HOST/v1/receipts/whatsapp_cloud. MARKETING_PATH marketing_messages where Meta wants it.",
    ),
    check=check_settings("whatsapp_cloud", "key", "phone_number_id"),
    has_receipts=True,
    receipts_need=("app_secret", "verify_token"),
    has_challenge=True,
)
