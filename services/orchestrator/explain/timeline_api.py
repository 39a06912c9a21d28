"""HTTP route of a customer's timeline."""

from typing import Any, Literal

import msgspec
from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.fields import CustomerId
from schemas.roles import is_allowed
from schemas.times import format_instant
from schemas.vocabulary import Channel, Class, MessageState, Outcome
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.answer_types import AnyValue, ClassField, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions.facts_reader import FactsReader, FactsRefused
from services.orchestrator.explain import timeline, wording
from services.orchestrator.explain.timeline import (
    ConsentEntry,
    ContactEntry,
    DecisionEntry,
    DoNotContactEntry,
    EventEntry,
    HoldEntry,
    MessageEntry,
    QuarantineEntry,
    SituationEntry,
    TimelineEntry,
    TimelinePosition,
)

FACTS = "customers:read"
KINDS_OF_FACTS = ("consent", "contact", "hold", "quarantine", "situation", "suppression")
"""What only roles see that may read customers."""


class TimelineEvent(TypedDict):
    """An event that triggered a campaign, when it was received."""

    at: TimeText
    kind: Literal["event"]
    source: str
    id: str
    type: str


class TimelineDecision(TypedDict):
    """A decision about a message on one channel. `change`: who can do what so that it would be sent."""

    at: TimeText
    kind: Literal["decision"]
    decision_id: int
    message_id: str
    campaign: str
    channel: Channel
    outcome: Outcome
    reason: str
    sentence: str
    change: list[str]


class TimelineMessage(TypedDict):
    """The state that a message is in since then."""

    at: TimeText
    kind: Literal["message"]
    message_id: str
    campaign: str
    channel: Channel
    status: MessageState
    adapter: str | None


class TimelineContact(ClassField):
    """A contact that another tool has reported, on a channel that may not be one of ours."""

    at: TimeText
    kind: Literal["contact"]
    channel: str
    topic: str | None


class TimelineSituation(TypedDict):
    """A situation opened or closed."""

    at: TimeText
    kind: Literal["situation"]
    situation: str
    change: Literal["opened", "closed"]
    ref: AnyValue


class TimelineConsent(TypedDict):
    """The consent to marketing, or its refusal, that holds since then; topic `*` is all topics."""

    at: TimeText
    kind: Literal["consent"]
    channel: Channel
    topic: str
    status: str
    source: str | None
    wording: str | None


class TimelineSuppression(TypedDict):
    """An entry of the do-not-contact list; without channel, topic and classes it covers everything."""

    at: TimeText
    kind: Literal["suppression"]
    channel: Channel | None
    topic: str | None
    classes: list[Class] | None
    reason: str
    expires: TimeText | None


class TimelineQuarantine(TypedDict):
    """An event could not be read that may have been a refusal."""

    at: TimeText
    kind: Literal["quarantine"]
    until: TimeText


class TimelineHold(TypedDict):
    """A hold on this customer alone began."""

    at: TimeText
    kind: Literal["hold"]
    key: str
    mode: Literal["defer", "drop"]
    until: TimeText | None
    reason: str
    placed_by: str


AnyTimelineEntry = (
    TimelineEvent
    | TimelineDecision
    | TimelineMessage
    | TimelineContact
    | TimelineSituation
    | TimelineConsent
    | TimelineSuppression
    | TimelineQuarantine
    | TimelineHold
)


class Timeline(TypedDict):
    """One page of a timeline, newest first. `left_out`: kinds of entries that the role of this key does not see."""

    items: list[AnyTimelineEntry]
    next: str | None
    left_out: list[str]


def timeline_routes(
    database: Database, snapshot: CatalogueSnapshot, facts_reader: FactsReader, clock: Clock
) -> APIRouter:
    """The route `/v1/customers/{customer}/timeline`."""
    routes = APIRouter(prefix="/v1/customers", tags=["customers"])

    @routes.get(
        "/{customer}/timeline",
        summary="What happened to a customer, newest first",
        **answers({200: Timeline}, errors.NotFound, errors.FenceTimeout, FactsRefused),
    )
    async def get_timeline(
        customer: CustomerId,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        principal: Principal = requires("decisions:read", shows_more=FACTS),
    ) -> dict[str, Any]:
        position = decode_cursor(after, TimelinePosition) if after else None
        sees_facts = is_allowed(principal.role, FACTS)
        facts = await timeline.load_facts(database, snapshot, facts_reader, customer) if sees_facts else None
        async with database.read() as tx:
            page = await timeline.load_timeline(tx, customer, facts, clock.now(), position, limit)
        if not page.entries and position is None and not (facts and timeline.is_known(facts)):
            raise NotFound(timeline.NOTHING_KNOWN.format(customer))
        return {
            "items": [{"at": format_instant(entry.at), **_document(entry)} for entry in page.entries],
            "next": None if page.next is None else encode_cursor(page.next),
            "left_out": [] if sees_facts else list(KINDS_OF_FACTS),
        }

    return routes


def _document(entry: TimelineEntry) -> dict[str, Any]:
    match entry:
        case EventEntry():
            return {"kind": "event", "source": entry.source, "id": entry.event_id, "type": entry.type}
        case DecisionEntry():
            return _decision_document(entry)
        case MessageEntry():
            names = ("message_id", "campaign", "channel", "adapter")
            return {"kind": "message", "status": entry.state} | {name: getattr(entry, name) for name in names}
        case ContactEntry():
            attributes = entry.contact.attributes
            return {
                "kind": "contact",
                "channel": attributes.channel,
                "class": attributes.cls,
                "topic": attributes.topic,
            }
        case _:
            return _fact_document(entry)


def _decision_document(entry: DecisionEntry) -> dict[str, Any]:
    decision = entry.stored.decision
    names = ("message_id", "campaign", "channel", "outcome", "reason")
    return {
        "kind": "decision",
        "decision_id": entry.stored.decision_id,
        **{name: getattr(decision, name) for name in names},
        "sentence": wording.with_readable_times(wording.explain_decision(decision)),
        "change": [wording.with_readable_times(change) for change in wording.list_changes(decision)],
    }


def _fact_document(
    entry: SituationEntry | ConsentEntry | DoNotContactEntry | QuarantineEntry | HoldEntry,
) -> dict[str, Any]:
    match entry:
        case SituationEntry(situation=situation):
            return {
                "kind": "situation",
                "situation": situation.kind,
                "change": "closed" if entry.is_closing else "opened",
                "ref": msgspec.json.decode(situation.ref) if situation.ref else None,
            }
        case ConsentEntry(consent=consent):
            names = ("channel", "topic", "status", "source", "wording")
            return {"kind": "consent"} | {name: getattr(consent, name) for name in names}
        case DoNotContactEntry(entry=listed):
            return {
                "kind": "suppression",
                "channel": listed.channel,
                "topic": listed.topic,
                "classes": None if listed.classes is None else list(listed.classes),
                "reason": listed.reason,
                "expires": format_optional_instant(listed.expires),
            }
        case QuarantineEntry(quarantine=quarantine):
            return {"kind": "quarantine", "until": format_instant(quarantine.until)}
        case HoldEntry(hold=hold):
            shown = {name: getattr(hold, name) for name in ("key", "mode", "reason", "placed_by")}
            return {"kind": "hold", "until": format_optional_instant(hold.until), **shown}
