"""The adapter `sendgrid`."""

import base64
from typing import Annotated, Final

from pydantic import AfterValidator

from schemas.adapter_registry import AdapterDeclaration
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

_P256_KEY: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""How every public key on the curve P-256 begins in DER; 65 bytes of the point follow."""


def _check_verification_key(text: str) -> str:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if not key.startswith(_P256_KEY) or len(key) != len(_P256_KEY) + 65:
        raise ValueError("write the verification key of the Event Webhook, one line of base64 that begins with MFkw")
    return text


VerificationKey = Annotated[str, AfterValidator(_check_verification_key)]


class SendgridSettings(MailApiSettings):
    """An API key, the API of its region, and the public key that receipts are checked with."""

    url: str = "https://api.sendgrid.com"
    verification_key: VerificationKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="sendgrid",
    order=25,
    summary="",
    channels=frozenset({"email"}),
    sends_mail=True,
    settings=SendgridSettings,
    sample=(
        "The adapter sendgrid (docs/adapters/sendgrid.md): an API key with the right Mail Send, and the URL of its API",
        "(https://api.eu.sendgrid.com for subusers of the region EU). For receipts: the verification key of its Event",
        "Webhook.",
    ),
    check=check_settings("sendgrid", "key"),
    has_receipts=True,
    receipts_need=("verification_key",),
)
