"""The adapter `sandbox`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.section import Section
from services.kit.runtime.settings import SecretKey


class SandboxSettings(Section):
    """The secret that signs receipts for messages in the sandbox; without it there are none."""

    secret: SecretKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="sandbox",
    order=10,
    summary="keeps messages for reading, sends nothing",
    destination="inbox",
    is_default=True,
    settings=SandboxSettings,
    sample=(
        "The sandbox: a secret (whsec_ and base64) for whoever plays the customers' side and posts receipts to",
        "/v1/receipts/sandbox (docs/receipts.md). `tactful dev` makes one for its demo.",
    ),
    has_api=True,
    has_receipts=True,
    receipts_need=("secret",),
)
