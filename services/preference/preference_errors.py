"""The errors of this service, below the tree of `services.kit.errors`.

Permanent
  Malformed 400
    Unreadable        an event of ours that cannot be taken; dead-lettered, its customer blocked
  Invalid 422
    Overgrown         an event that would give one customer more than we keep; likewise
    UnknownTopic      the active policy has no such topic
    NoProof           consent without where and on which words it was given
    CannotSwitchOff   a required topic, or transactional messages
    Partial           a PUT that would drop what is there
  PreconditionFailed  the preferences have changed since the version the caller names
"""

from services.kit.errors import Invalid, Malformed


class Unreadable(Malformed):
    """An event of one of our types that cannot be taken."""

    default_code = "unreadable"


class Overgrown(Invalid):
    """An event that would give one customer more traits or addresses than we keep."""

    default_code = "overgrown"


class UnknownTopic(Invalid):
    """The active policy has no such topic."""

    default_code = "unknown_topic"


class MissingConsentProof(Invalid):
    """Consent that nobody could prove: it needs its source and its wording."""

    default_code = "no_proof"


class OptOutNotAllowed(Invalid):
    """What the customer cannot switch off: a required topic, or transactional messages."""

    default_code = "cannot_switch_off"


class IncompleteDocument(Invalid):
    """A whole document was announced, but fields that are set today are missing from it."""

    default_code = "partial_document"
