"""The closed vocabulary: one list for API, console, metrics, logs and archive."""

from enum import StrEnum

from schemas.channel_registry import CHANNEL_REGISTRY


class Class(StrEnum):
    """Legal treatment of a message. Mixed content is marketing."""

    TRANSACTIONAL = "transactional"
    SERVICE = "service"
    MARKETING = "marketing"


class Sensitivity(StrEnum):
    """How much a trait says of a person: what anybody may know, what they did, or what may harm them."""

    PLAIN = "plain"
    BEHAVIOURAL = "behavioural"
    SENSITIVE = "sensitive"


class Intent(StrEnum):
    """What the message wants."""

    EXPLAIN = "explain"
    INFORM = "inform"
    ADVISE = "advise"
    EDUCATE = "educate"
    ADVERTISE = "advertise"
    SOLICIT_PAYMENT = "solicit_payment"
    ASK_FEEDBACK = "ask_feedback"
    ASK_REVIEW = "ask_review"
    ASK_REFERRAL = "ask_referral"
    APOLOGISE = "apologise"
    ALERT = "alert"
    ONBOARD = "onboard"
    WIN_BACK = "win_back"


ASK_INTENTS = frozenset({Intent.ASK_FEEDBACK.value, Intent.ASK_REVIEW.value, Intent.ASK_REFERRAL.value})
"""Messages that ask the customer for something; texts call them asks."""


class Channel(StrEnum):
    """The channels that documents may name; which of them can send is configuration."""

    # One member for each folder of a channel. `vars()` in the body of an enumeration is its namespace of members.
    _ignore_ = "declared_id"
    for declared_id in CHANNEL_REGISTRY.declarations:
        vars()[declared_id.upper()] = declared_id


CHANNELS = tuple(channel.value for channel in Channel)
CHANNELS_WITHOUT_ADDRESS = frozenset(
    each.id for each in CHANNEL_REGISTRY.declarations.values() if not each.needs_address
)
"""Their messages go to the customer's id."""
CHANNELS_OUTSIDE_GENERAL_CAPS = frozenset(
    each.id for each in CHANNEL_REGISTRY.declarations.values() if not each.counts_in_general_caps
)
"""A cap counts and concerns their messages only if it names them."""


class Strategy(StrEnum):
    """How a campaign uses its channels: the first that may send; all of them; or one after the other, until a delivery
    is confirmed.
    """

    FIRST = "first"
    ALL = "all"
    FALLBACK = "fallback"


class Outcome(StrEnum):
    """What was decided. A skip is never called a failure."""

    SEND = "send"
    DEFER = "defer"
    SUPPRESS = "suppress"
    FAIL = "fail"


class MessageState(StrEnum):
    """The life of a message: what waits, the delivery ladder, and the ends that are not deliveries."""

    PLANNED = "planned"
    PARKED = "parked"
    PENDING = "pending"
    HANDING_OVER = "handing_over"
    RETRY = "retry"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    BOUNCED_SOFT = "bounced_soft"
    BOUNCED_HARD = "bounced_hard"
    COMPLAINED = "complained"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    FAILED = "failed"


class CampaignStatus(StrEnum):
    """The life of a version of a campaign or policy."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    SHADOW = "shadow"
    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"
    REPLACED = "replaced"


class SuppressionReason(StrEnum):
    """Why an address or a customer must never be contacted; `undecided_reply`: not until a person has decided."""

    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCES = "soft_bounces"
    SPAM_COMPLAINT = "spam_complaint"
    STOP_KEYWORD = "stop_keyword"
    UNDECIDED_REPLY = "undecided_reply"
    ERASED = "erased"
    LEGAL = "legal"
    MANUAL = "manual"
    IMPORTED = "imported"


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
