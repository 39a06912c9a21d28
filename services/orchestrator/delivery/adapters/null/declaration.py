"""The adapter `null`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration

DECLARATION: Final = AdapterDeclaration(id="null", order=30, summary="throws away", destination="nowhere")
