"""Customer page: what holds now, and the timeline, newest first."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from schemas.facts import Address, OptOut
from schemas.times import Instant
from services.kit.errors import NotFound, TactfulError
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import decode_cursor, encode_cursor
from services.orchestrator.console import decision_words
from services.orchestrator.console.console_context import NAMES, ConsoleContext, customer_name, may_see_names
from services.orchestrator.console.customers_page import describe_do_not_contact, describe_entry
from services.orchestrator.console.live_page import ChannelLine, channel_lines
from services.orchestrator.console.message_choices import ChoiceKey, MessageChoice, key_of, load_choices
from services.orchestrator.console.page_frame import PageRenderer, customer_link, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.explain import timeline
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
from services.orchestrator.explain.wording import suggest_remedy
from services.orchestrator.policy.customer_facts import Facts

PATH = "/console/customers"
PAGE_SIZE = 60
_STATE_PHRASES = {
    "handing_over": "is being handed over",
    "accepted": "was accepted by",
    "delivered": "was delivered by",
    "bounced_soft": "bounced (temporarily) at",
    "bounced_hard": "bounced (permanently) at",
    "complained": "was reported as spam through",
    "rejected": "was rejected by",
    "unknown": "may have been sent by",
}


class TimelineRow(NamedTuple):
    """An entry of the timeline as the page shows it. `remedy`: who can do what so that the message would be sent."""

    at: Instant
    kind: str
    icon: str
    title: str
    remark: str | Markup = ""
    code: str = ""
    path: str = ""
    outcome: str = ""
    remedy: str | Markup = ""
    channels: Sequence[ChannelLine] = ()


def customer_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of customers."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get("/console/customer")
    async def show_customer_of_query(
        request: Request,
        id: Annotated[str, Query(max_length=256)],
        after: Annotated[str, Query(max_length=1000)] = "",
        principal: Principal = requires("decisions:read", shows_more=NAMES),
    ) -> Response:
        return await show_customer(request, id, after, principal)

    @routes.get(PATH + "/{id}")
    async def show_customer(
        request: Request,
        id: Annotated[str, Path(max_length=256)],
        after: Annotated[str, Query(max_length=1000)] = "",
        principal: Principal = requires("decisions:read", shows_more=NAMES),
    ) -> Response:
        position = decode_cursor(after, TimelinePosition) if after else None
        organisation = await context.get_wall_clock()
        sees_facts = may_see_names(principal)
        facts = await _load_facts(context, id) if sees_facts else None
        at = WallClock(facts.calendar_zone, organisation.now, "the customer") if facts else organisation
        async with context.database.read() as tx:
            page = await timeline.load_timeline(tx, id, facts, at.now, position, PAGE_SIZE)
            choices = await load_choices(tx, [item.stored for item in page.entries if isinstance(item, DecisionEntry)])
        is_unknown = not page.entries and position is None and not (facts and timeline.is_known(facts))
        if is_unknown and (facts or not sees_facts):
            raise NotFound(timeline.NOTHING_KNOWN.format(id))
        return await renderer.render_page(
            request, principal, "customer.html", at,
            page="customers",
            customer=id,
            name=customer_name(facts.preference) if facts else None,
            sees_facts=sees_facts,
            now=_current_state(facts, at) if facts else [],
            days=_group_by_day(_build_rows(context, page.entries, choices, at), at),
            older=None if page.next is None else customer_link(id, after=encode_cursor(page.next)),
        )  # fmt: skip

    return routes


async def _load_facts(context: ConsoleContext, customer: str) -> Facts | None:
    try:
        return await context.load_facts(customer)
    except TactfulError:
        return None


def _build_rows(
    context: ConsoleContext,
    entries: Sequence[TimelineEntry],
    choices: Mapping[ChoiceKey, MessageChoice],
    at: WallClock,
) -> list[TimelineRow]:
    """The entries in order; the decisions of a choice are one row, and states that decisions tell already are none."""
    rows = []
    for entry in entries:
        match entry:
            case DecisionEntry(stored=stored):
                choice = choices[key_of(stored)]
                if stored.decision_id == choice.decisions[-1].decision_id:  # a choice is on one page only
                    rows.append(_choice_row(context, choice, at))
            case MessageEntry():
                if entry.state in _STATE_PHRASES:
                    rows.append(_message_row(context, entry))
            case _:
                rows.append(_fact_row(entry, at))
    return rows


def _choice_row(context: ConsoleContext, choice: MessageChoice, at: WallClock) -> TimelineRow:
    decision = choice.lead.decision
    return TimelineRow(
        decision.time,
        "decision",
        "list-details",
        context.campaign_name(decision.campaign),
        decision_words.short_reason(decision, at),
        decision.reason,
        path=f"/console/decisions/{choice.lead.decision_id}",
        outcome=decision.outcome,
        remedy=at.format_instants(suggest_remedy(decision)),
        channels=channel_lines(choice.decisions),
    )


def _message_row(context: ConsoleContext, entry: MessageEntry) -> TimelineRow:
    channel, icon = decision_words.CHANNELS[entry.channel]
    title = f"{channel} {_STATE_PHRASES[entry.state]} {entry.adapter or 'the adapter'}"
    return TimelineRow(entry.at, "message", icon, title, context.campaign_name(entry.campaign), entry.message_id)


def _fact_row(
    entry: EventEntry | ContactEntry | SituationEntry | ConsentEntry | DoNotContactEntry | QuarantineEntry | HoldEntry,
    at: WallClock,
) -> TimelineRow:
    match entry:
        case EventEntry():
            return TimelineRow(entry.at, "event", "activity", entry.type, f"from {entry.source}", entry.event_id)
        case ContactEntry(contact=contact):
            title = f"Contact by another tool: {decision_words.channel_label(contact.attributes.channel)}"
            attributes = contact.attributes
            return TimelineRow(entry.at, "contact", "message", title, attributes.cls, attributes.topic or "")
        case SituationEntry(situation=situation):
            name = situation.kind.replace("_", " ").capitalize()
            icon, verb = ("check", "closed") if entry.is_closing else ("alert-triangle", "opened")
            reference = decision_words.format_reference(situation.ref)
            return TimelineRow(entry.at, "situation", icon, f"{name} {verb}", code=reference)
        case ConsentEntry(consent=consent):
            what = "all topics" if consent.topic == "*" else consent.topic
            title = f"Consent {consent.status}: {decision_words.CHANNELS[consent.channel][0]}, {what}"
            source = f"through {consent.source}" if consent.source else ""
            return TimelineRow(entry.at, "consent", "file-certificate", title, source, consent.wording or "")
        case DoNotContactEntry(entry=listed):
            words = describe_entry(listed)
            title, reason = f"{words[:1].upper()}{words[1:]}", listed.reason.replace("_", " ")
            return TimelineRow(entry.at, "suppression", "user-off", title, reason)
        case QuarantineEntry(quarantine=quarantine):
            title = "Quarantined: an event could not be read, and may have been a refusal"
            or_when = "" if quarantine.ends_by_itself else ", or until its dead letter is redriven or discarded"
            until = f"until {at.moment(quarantine.until)}{or_when}"
            return TimelineRow(entry.at, "quarantine", "hand-stop", title, until)
        case HoldEntry(hold=hold):
            words = decision_words.describe_hold(hold, at)
            return TimelineRow(entry.at, "hold", "hand-stop", "Hold on this customer", words, hold.key)


def _current_state(facts: Facts, at: WallClock) -> list[tuple[str, str]]:
    """Describes what holds for this customer now. Contains no address."""
    preference = facts.preference
    reach = [
        f"{decision_words.CHANNELS[address.channel][0]}{_describe_limits(address)}" for address in preference.addresses
    ]
    open_now = [item for item in facts.suppressions.situations if item.closed is None]
    rows = [
        ("Can be reached by", ", ".join(dict.fromkeys(reach)) or "no channel"),
        ("Switched off", ", ".join(_describe_opt_out(item) for item in preference.opt_outs) or "nothing"),
        ("Open situations", ", ".join(item.kind.replace("_", " ") for item in open_now) or "none"),
        ("Do-not-contact list", ", ".join(describe_do_not_contact(facts.suppressions.entries, at.now)) or "no entry"),
        ("Time zone", f"{facts.calendar_zone.name}, local time {at.clock(at.now)}"),
        ("Language, country", ", ".join(part for part in (preference.locale, preference.country) if part) or "unknown"),
    ]
    quarantines = [*preference.quarantines, *facts.suppressions.quarantines]
    if any(each.until > at.now for each in quarantines):
        rows.insert(2, ("Quarantined", f"until {at.moment(max(each.until for each in quarantines))}"))
    if preference.paused_until is not None and preference.paused_until > at.now:
        rows.insert(2, ("Paused", f"until {at.moment(preference.paused_until)}"))
    if preference.frequency is not None:
        rows.insert(2, ("Own frequency limit", f"at most {preference.frequency.limit} a {preference.frequency.per}"))
    return rows


def _describe_limits(address: Address) -> str:
    """Why an address cannot be used, or not by all messages; never the address."""
    if address.problem is not None:
        return f" (unusable: {address.problem})"
    return "" if address.verified else " (not verified)"


def _describe_opt_out(item: OptOut) -> str:
    if item.all:
        return "everything"
    parts = [item.cls, decision_words.CHANNELS[item.channel][0] if item.channel else None, item.topic]
    return " ".join(part for part in parts if part)


def _group_by_day(rows: Sequence[TimelineRow], at: WallClock) -> list[tuple[str, list[TimelineRow]]]:
    by_day: dict[str, list[TimelineRow]] = {}
    for row in rows:
        by_day.setdefault(at.day(row.at), []).append(row)
    return list(by_day.items())
