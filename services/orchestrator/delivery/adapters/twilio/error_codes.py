"""What the error codes of Twilio mean, in the answer to a request and in a receipt alike."""

from collections.abc import Mapping
from typing import Final

from services.orchestrator.delivery.adapters.text_api import ErrorMeaning

ERROR_CODES: Final[Mapping[str, ErrorMeaning]] = {
    "20003": "account",  # authentication
    "20005": "account",  # account not active
    "20404": "account",  # no such account
    "20429": "throttle",
    "21211": "dead",  # invalid number
    "21212": "account",  # invalid sender
    "21214": "dead",  # cannot be reached
    "21217": "dead",  # not a number
    "21408": "account",  # this region is not permitted
    "21602": "content",  # no text
    "21603": "account",  # no sender
    "21604": "content",  # no number
    "21605": "content",  # too long
    "21606": "account",  # the sender is not of this account, or cannot send texts
    "21609": "account",  # the URL of receipts is not valid
    "21610": "unsubscribed",
    "21611": "throttle",  # the queue of the sender is full
    "21612": "content",  # the sender cannot reach this number
    "21614": "dead",  # no mobile number
    "21617": "content",  # too long
    "21619": "content",  # no text
    "21635": "dead",  # a landline
    "21659": "account",  # not a sender of Twilio, or not for this country
    "21660": "account",  # the sender is of another account
    "21701": "account",  # no such messaging service
    "21703": "account",  # the messaging service has no sender
    "21704": "account",  # the messaging service has no short code
    "21705": "account",  # invalid messaging service
    "30001": "throttle",  # queue overflow
    "30002": "account",  # suspended
    "30005": "dead",  # unknown number
    "30006": "dead",  # a landline, or a carrier that cannot be reached
    "30007": "content",  # filtered
    "30034": "account",  # sender not registered
    "63007": "account",  # the sender is not on WhatsApp
    "63016": "content",  # more than 24 hours since the customer's last message on WhatsApp
    "63018": "throttle",
    "63024": "dead",  # not on WhatsApp
    "63027": "content",  # no such template in this language
    "63028": "content",  # the number of parameters
    "63038": "account",  # the daily limit of the account is used up
    "63049": "content",  # the customer has had enough advertising on WhatsApp
}
"""A code that is not here is judged by the status beside it."""
