"""What the error codes of Vonage's Messages API mean, in the answer to a request and in a receipt alike."""

from collections.abc import Mapping
from typing import Final

from services.orchestrator.delivery.adapters.text_api import ErrorMeaning

ERROR_CODES: Final[Mapping[str, ErrorMeaning]] = {
    "1000": "throttle",
    **{str(code): "content" for code in range(1010, 1023)},  # a parameter is missing or not right, among others
    "1040": "dead",
    "1050": "content",
    "1060": "account",
    "1070": "account",
    "1080": "account",
    "1120": "account",  # the sender is not right
}
"""A code that is not here is judged by the status beside it. 1030 is an error within Vonage: nobody knows."""
