"""What the error codes of the Cloud API mean, in the answer to a request and in a receipt alike."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.orchestrator.delivery.adapters.mail_api import AnswerMeaning
from services.orchestrator.delivery.adapters.provider_receipts import BOUNCED, ReceiptMeaning
from services.orchestrator.delivery.adapters.text_api import ErrorMeaning

ERROR_CODES: Final[Mapping[str, ErrorMeaning]] = {
    "0": "account",  # the token cannot be used
    "3": "account",  # the token lacks a right
    "4": "throttle",  # requests of the app
    "10": "account",  # the token lacks a right
    "100": "content",  # a parameter is wrong
    "190": "account",  # the token has expired
    **{str(code): "account" for code in range(200, 300)},  # the token lacks a right
    "368": "account",  # blocked for a while for breaking a policy
    "80007": "throttle",  # requests of the business account
    "130429": "throttle",  # messages of the number
    "130472": "content",  # the customer is in an experiment of Meta's
    "131005": "account",  # access denied
    "131008": "content",  # a parameter is missing
    "131009": "content",  # a parameter is wrong
    "131021": "content",  # sender and recipient are the same
    "131026": "content",  # cannot be delivered; a dead number is one cause among others
    "131031": "account",  # the account is locked
    "131042": "account",  # the payment
    "131045": "account",  # the number is not registered
    "131047": "content",  # more than 24 hours since the customer's last message
    "131048": "throttle",  # too many messages of the number were called spam
    "131049": "content",  # the customer has had enough advertising on WhatsApp
    "131050": "content",  # the customer has stopped this business's advertising, and nothing else
    "131051": "content",  # no such kind of message
    "131063": "account",  # advertising is not taken at this path
    "131064": "throttle",  # the quality of the number
    "132000": "content",  # the number of parameters
    "132001": "content",  # no such template in this language
    "132005": "content",  # too long with its parameters
    "132007": "content",  # the template breaks a policy
    "132008": "content",  # the form of a parameter
    "132012": "content",  # the form of a parameter
    "132016": "content",  # the template is switched off for good
    "133016": "throttle",  # registrations
}
"""A code that is not here is judged by the status beside it."""
OTHER_MEANINGS: Final = (
    AnswerMeaning(400, 499, "131056", "retry", None, 6.0),  # too many to this one customer: no other has to wait
    AnswerMeaning(400, 499, "132015", "retry", None, 3600.0),  # the template is paused, for hours
    AnswerMeaning(400, 499, "135000", "unknown"),
    AnswerMeaning(400, 499, "131000", "unknown"),
    AnswerMeaning(400, 499, "131016", "unknown"),
)
RECEIPT_MEANINGS: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {"131026": BOUNCED}
"""Code of a message that failed -> what it means, where that is not simply that it failed."""
