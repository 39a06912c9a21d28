"""Errors of the preference service, below the tree of `services.kit.errors`.

Permanent
  RejectedRecord
    Unreadable            an event of one of our types of which parts are bad; dead-lettered, good parts are applied
  Invalid 422
    Overgrown             an event that would exceed a customer's limits; dead-lettered, what fits is applied
    UnknownTopic          the active policy has no such topic
    MissingConsentProof   consent without its source or its wording, or on a legal basis that we do not know
    ConfirmationNeeded    consent that the policy lets count only once the customer has confirmed it
    CannotAskForConsent   a consent to be confirmed by a message for which the customer has no address
    OptOutNotAllowed      an opt-out from a required topic, or from transactional messages
    IncompleteDocument    a PUT that lacks fields which are set today
    CannotVerify          an address to which no message can go
    CannotBeMain          an address that messages would pass over
    WrongCode             a code that does not verify the address
      SpentCode           ... since too many wrong ones were tried
      ExpiredCode         ... since its time is over
      NoVerification      ... since no message was sent
  Conflict 409
    AlreadyVerified       the address is verified
    CustomerErased        the customer was erased (services.erasure)
  RateLimited 429
    TooManyVerifications  too many messages to verify addresses of one customer
  PreconditionFailed      the preferences have changed since the version that the caller names
"""

from services.erasure.erased_customers import CustomerErased
from services.kit.errors import Conflict, Invalid, RateLimited, RejectedRecord


class Unreadable(RejectedRecord):
    """An event of one of our types that is not valid, or a part of it."""

    default_code = "unreadable"


class Overgrown(Invalid):
    """An event that would give one customer more traits or addresses than we keep."""

    default_code = "overgrown"


class UnknownTopic(Invalid):
    """The active policy has no such topic."""

    default_code = "unknown_topic"


class MissingConsentProof(Invalid):
    """Consent that could not be proved later: it needs its source and its wording, and a legal basis that we know."""

    default_code = "no_proof"


class ConfirmationNeeded(Invalid):
    """The policy wants the customer to confirm this consent (double opt-in), and nothing shows that they have."""

    default_code = "confirmation_needed"


class CannotAskForConsent(Invalid):
    """The customer has no address to which the message could go by which they would confirm."""

    default_code = "no_address"


class OptOutNotAllowed(Invalid):
    """An opt-out from something that cannot be switched off: a required topic, or transactional messages."""

    default_code = "cannot_switch_off"


class IncompleteDocument(Invalid):
    """A PUT replaces the whole document, but fields that are set today are missing from it."""

    default_code = "partial_document"


class CannotVerify(Invalid):
    """No message can go to this address, so none can verify it."""

    default_code = "unusable_address"


class CannotBeMain(Invalid):
    """Messages would pass over this address: it is not verified while another is, or it cannot be used."""

    default_code = "not_verified"


class WrongCode(Invalid):
    """A code that is not that of the last message to the address."""

    default_code = "wrong_code"


class SpentCode(WrongCode):
    """A code that does nothing any more, since too many wrong ones were tried."""

    default_code = "too_many_codes"


class ExpiredCode(WrongCode):
    """A code whose time is over."""

    default_code = "code_expired"


class NoVerification(WrongCode):
    """No message has been sent to the address, so there is no code."""

    default_code = "no_verification"


class TooManyVerifications(RateLimited):
    """So many messages were sent to verify addresses of one customer that no more are for now."""

    default_code = "too_many_verifications"


class AlreadyVerified(Conflict):
    """There is nothing to verify: the address is verified, or another has taken its place."""

    default_code = "already_verified"


EDIT_ERRORS = (
    Overgrown,
    UnknownTopic,
    MissingConsentProof,
    ConfirmationNeeded,
    OptOutNotAllowed,
    IncompleteDocument,
    CustomerErased,
)
"""What an edit of preferences over HTTP may be refused with."""
