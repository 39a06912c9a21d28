"""What the error codes of Telnyx mean, in the answer to a request and in a receipt alike."""

from collections.abc import Mapping
from typing import Final

from services.orchestrator.delivery.adapters.text_api import ErrorMeaning

ERROR_CODES: Final[Mapping[str, ErrorMeaning]] = {
    "10002": "dead",  # not a number
    "10009": "account",  # authentication
    "10010": "account",  # not permitted
    "10011": "throttle",
    "10016": "dead",  # not a number in E.164
    "40001": "dead",  # a landline
    "40002": "content",  # blocked as spam, for a time
    "40003": "account",  # blocked as spam, for good
    "40009": "content",
    "40011": "throttle",
    "40300": "unsubscribed",
}
"""A code that is not here is judged by the status beside it."""
