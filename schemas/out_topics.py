"""The records of the topics that Tactful publishes: the life of each message, and the opt-outs of each customer.

They are CloudEvents 1.0 in structured mode: the value is the whole event as JSON, the key the customer's id. They have
ids, states, reasons and times, and never an address or a content. `schemas/async_api.py` describes them.
"""

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from schemas.times import Instant, format_instant

MessageChangeKind = Literal[
    "decided",
    "deferred",
    "suppressed",
    "failed",
    "handing_over",
    "accepted",
    "rejected",
    "retry",
    "unknown",
    "delivered",
    "bounced",
    "complained",
    "unsubscribed",
    "opened",
    "clicked",
    "replied",
]
MESSAGE_CHANGE_KINDS: Final[tuple[MessageChangeKind, ...]] = get_args(MessageChangeKind)
MESSAGES_SOURCE: Final = "/tactful/messages"
OPT_OUTS_SOURCE: Final = "/tactful/preferences"
OPT_OUTS_CHANGED: Final = "tactful.optouts.changed"
MESSAGE_TYPE_PREFIX: Final = "tactful.message."
STRUCTURED_HEADERS: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
"""What the Kafka binding of CloudEvents wants of a record in structured mode."""

CHANGE_MEANINGS: Final[dict[MessageChangeKind, str]] = {
    "decided": "It may be sent now. Where the rules deferred it before, this comes after each time they did.",
    "deferred": "It waits: `reason` says for what, `until` until when at the latest, if that is known.",
    "suppressed": "It is not sent, and `reason` says why. This is its end.",
    "failed": "It left for nobody. With `reason`: it could not be made, or was tried too often. Without: the provider "
    "has told so later.",
    "handing_over": "A process is about to hand it to the provider; `attempt` counts the times. It may still be taken "
    "back: then another decision follows.",
    "accepted": "The provider has it. Where it answers late, its receipts may come before this.",
    "rejected": "The provider will never take it. This is its end.",
    "retry": "The provider did not take it, or nobody knows; it is tried again at `until`.",
    "unknown": "Nobody knows whether the provider has it: it is not sent again. A receipt or a search may settle it.",
    "delivered": "The provider says that it has reached the customer.",
    "bounced": "The receiving side has refused it; `permanent`: the address will not work again.",
    "complained": "The customer has called it spam.",
    "unsubscribed": "The customer has told the provider to stop.",
    "opened": "It was opened; `by_machine`: probably by a machine.",
    "clicked": "A link in it was followed; `by_machine`: probably by a machine.",
    "replied": "The customer has answered. What was said is in the event of the same name in the log of events alone.",
}

Text = Annotated[str, Meta(min_length=1)]


class EventReference(msgspec.Struct, frozen=True):
    """Names an event of the log of events."""

    source: Text
    id: Text


class MessageChangeData(msgspec.Struct, frozen=True, omit_defaults=True, rename={"cls": "class"}):
    """`data` of a record of `tactful.messages`: one step in the life of one message. What is not known is absent."""

    message_id: Annotated[str, Meta(pattern="^msg_[0-9a-f]{32}$", description="The idempotency key at the provider.")]
    campaign: Text
    version: Annotated[int, Meta(ge=0, description="Of the campaign.")]
    channel: Text
    cls: Annotated[Literal["transactional", "service", "marketing"], Meta(description="Its legal treatment.")]
    event: Annotated[EventReference, Meta(description="The event that triggered it.")]
    topic: Annotated[str | None, Meta(description="The topic by which the customer knows it.")] = None
    reason: Annotated[str | None, Meta(description="A code of the closed list of reasons.")] = None
    until: Annotated[str | None, Meta(description="RFC 3339.", extra_json_schema={"format": "date-time"})] = None
    adapter: Annotated[str | None, Meta(description="The name of the adapter.")] = None
    attempt: Annotated[int | None, Meta(description="The number of the attempt, from 1.")] = None
    detail: Annotated[str | None, Meta(description="What the provider has said, as codes.")] = None
    permanent: Annotated[bool, Meta(description="Of a bounce.")] = False
    by_machine: Annotated[bool, Meta(description="Of an opening or a click.")] = False


class OptOutItem(msgspec.Struct, frozen=True, omit_defaults=True, rename={"cls": "class"}):
    """One opt-out: of everything, of a class, of a channel, of a topic, or of a topic on a channel."""

    all: bool = False
    cls: Annotated[str | None, Meta(description="service or marketing")] = None
    channel: str | None = None
    topic: str | None = None


class OptOutsData(msgspec.Struct, frozen=True):
    """`data` of a record of `tactful.optouts`: all present opt-outs of one customer, which replace those of before."""

    version: Annotated[int, Meta(ge=0, description="Of the customer's preferences; grows with each of their changes.")]
    opt_outs: Annotated[tuple[OptOutItem, ...], Meta(description="Empty: the customer has opted out of nothing.")]
    paused_until: Annotated[
        str | None,
        Meta(description="The customer wants no marketing until then.", extra_json_schema={"format": "date-time"}),
    ]


class ReceiptData(msgspec.Struct, frozen=True, omit_defaults=True, rename={"cls": "class"}):
    """`data` of the events `tactful.message.*` that Tactful writes to the log of events: what a provider has said of a
    message, or a customer in answer to it. What is not known is absent.
    """

    message_id: Annotated[str, Meta(pattern="^msg_[0-9a-f]{32}$")]
    campaign: Text
    channel: Text
    cls: Annotated[Literal["transactional", "service", "marketing"], Meta(description="Its legal treatment.")]
    adapter: Text
    permanent: Annotated[bool, Meta(description="Of a bounce: the address will not work again.")] = False
    by_machine: Annotated[bool, Meta(description="Of an opening or a click: probably by a machine.")] = False
    topic: Annotated[str | None, Meta(description="The topic by which the customer knows it.")] = None
    detail: Annotated[str | None, Meta(description="Codes of the provider.")] = None
    text: Annotated[str | None, Meta(description="Of a reply: what the customer wrote.")] = None


class MessageChange(msgspec.Struct, frozen=True, array_like=True):
    """One step in the life of one message, as it is kept until it is published: fields may be appended, never moved."""

    kind: MessageChangeKind
    at: Instant
    customer: str
    message_id: str
    campaign: str
    version: int
    channel: str
    cls: str
    topic: str | None
    event_source: str
    event_id: str
    reason: str | None = None
    until: Instant | None = None
    adapter: str | None = None
    attempt: int | None = None
    detail: str | None = None
    permanent: bool = False
    by_machine: bool = False


def message_event(change: MessageChange, event_id: str) -> bytes:
    """The event of a change."""
    data = MessageChangeData(
        message_id=change.message_id,
        campaign=change.campaign,
        version=change.version,
        channel=change.channel,
        cls=change.cls,  # type: ignore[arg-type]
        event=EventReference(change.event_source, change.event_id),
        topic=change.topic,
        reason=change.reason,
        until=None if change.until is None else format_instant(change.until),
        adapter=change.adapter,
        attempt=change.attempt,
        detail=change.detail,
        permanent=change.permanent,
        by_machine=change.by_machine,
    )
    return _encode_event(MESSAGES_SOURCE, MESSAGE_TYPE_PREFIX + change.kind, event_id, change.customer, change.at, data)


def opt_outs_event(customer: str, data: OptOutsData, at: Instant, event_id: str) -> bytes:
    """The event of a customer's opt-outs."""
    return _encode_event(OPT_OUTS_SOURCE, OPT_OUTS_CHANGED, event_id, customer, at, data)


def _encode_event(source: str, kind: str, event_id: str, customer: str, at: Instant, data: Any) -> bytes:
    return msgspec.json.encode({
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": kind,
        "subject": customer,
        "time": format_instant(at),
        "datacontenttype": "application/json",
        "data": data,
    })  # fmt: skip
