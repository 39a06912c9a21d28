"""What the codes in the `error` of Pager's refusals mean."""

from collections.abc import Mapping
from typing import Final

from services.orchestrator.delivery.adapters.text_api import ErrorMeaning

ERROR_CODES: Final[Mapping[str, ErrorMeaning]] = {"bad_number": "dead", "opted_out": "unsubscribed", "empty": "content"}
"""A code that is not here is judged by the status beside it."""
