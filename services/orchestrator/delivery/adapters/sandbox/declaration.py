"""The adapter `sandbox`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration

DECLARATION: Final = AdapterDeclaration(
    id="sandbox",
    order=10,
    summary="keeps messages for reading, sends nothing",
    destination="inbox",
    is_default=True,
    has_api=True,
)
