"""Customer page: what holds now, and the timeline, newest first."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Path, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from schemas.facts import Address, OptOut
from schemas.roles import is_allowed
from schemas.times import Instant
from services.kit.errors import NotFound, TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.console import decision_words, store
from services.orchestrator.console.console_context import ConsoleContext, customer_name
from services.orchestrator.console.customers_page import describe_do_not_contact
from services.orchestrator.console.live_page import ChannelLine, channel_lines
from services.orchestrator.console.message_choices import MessageChoice, load_choices
from services.orchestrator.console.page_frame import PageRenderer, customer_link, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact

PATH = "/console/customers"
PAGE_SIZE = 60
_END_OF_TIME = 2**62
_UNKNOWN = (
    "there is no customer `{}`: no preferences are stored under this id, and no event of theirs triggered a campaign;"
    " upper and lower case matter in ids"
)
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


class TimelineEntry(NamedTuple):
    """A timeline entry. `kind` is event, decision, message, contact, situation, consent, suppression or hold."""

    at: Instant
    kind: str
    icon: str
    title: str
    remark: str | Markup
    code: str
    path: str
    outcome: str
    channels: Sequence[ChannelLine] = ()


def customer_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of customers."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get("/console/customer")
    async def show_customer_of_query(
        request: Request,
        id: Annotated[str, Query(max_length=256)],
        before: Annotated[int | None, Query(ge=0, le=_END_OF_TIME)] = None,
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        return await show_customer(request, id, before, principal)

    @routes.get(PATH + "/{id}")
    async def show_customer(
        request: Request,
        id: Annotated[str, Path(max_length=256)],
        before: Annotated[int | None, Query(ge=0, le=_END_OF_TIME)] = None,
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        organisation = await context.get_wall_clock()
        sees_facts = is_allowed(principal.role, "customers:read")
        facts = await _load_facts(context, id) if sees_facts else None
        at = WallClock(facts.calendar_zone, organisation.now, "the customer") if facts else organisation
        entries, older = await _load_timeline(context, id, facts, before or _END_OF_TIME, at)
        if not entries and before is None and not (facts and _is_known(facts)) and (facts or not sees_facts):
            raise NotFound(_UNKNOWN.format(id))
        return await renderer.render_page(
            request, principal, "customer.html", at,
            page="customers",
            customer=id,
            name=customer_name(facts.preference) if facts else None,
            sees_facts=sees_facts,
            now=_current_state(facts, at) if facts else [],
            days=_group_by_day(entries, at),
            older=None if older is None else customer_link(id, before=older),
        )  # fmt: skip

    return routes


def _is_known(facts: Facts) -> bool:
    suppressions = facts.suppressions
    return bool(facts.preference.version or suppressions.entries or suppressions.situations or suppressions.holds)


async def _load_facts(context: ConsoleContext, customer: str) -> Facts | None:
    try:
        return await context.load_facts(customer)
    except TactfulError:
        return None


async def _load_timeline(
    context: ConsoleContext, customer: str, facts: Facts | None, before: Instant, at: WallClock
) -> tuple[list[TimelineEntry], Instant | None]:
    """Loads one page of the timeline before an instant, and the start of the next page."""
    async with context.database.read() as tx:
        events = await store.list_customer_events(tx, customer, before, PAGE_SIZE + 1)
        decisions = await store.list_customer_decisions(tx, customer, before, PAGE_SIZE + 1)
        choices = await load_choices(tx, decisions)
        messages = await store.list_customer_messages(tx, customer, before, PAGE_SIZE + 1)
        versioned_ledger = (await ledger_store.load_ledgers(tx, [customer])).get(customer, ledger_store.EMPTY_LEDGER)
    entries = [
        *(_event_entry(row) for row in events),
        *(_choice_entry(context, item, at) for item in choices.values()),
        *(_message_entry(context, row) for row in messages if row.state in _STATE_PHRASES),
        *(_contact_entry(contact) for contact in versioned_ledger.ledger if contact.reported and facts),
        *(_facts_entries(facts, at) if facts else ()),
    ]
    ranked = sorted((entry for entry in entries if entry.at < min(before, at.now + 1)), key=_sort_key, reverse=True)
    if len(ranked) <= PAGE_SIZE:
        return ranked, None
    edge = ranked[PAGE_SIZE - 1].at
    return [entry for entry in ranked if entry.at >= edge], edge


def _sort_key(entry: TimelineEntry) -> tuple[Instant, int]:
    ranks = ("situation", "event", "hold", "decision", "message")
    return entry.at, ranks.index(entry.kind) if entry.kind in ranks else 0


def _event_entry(row: Any) -> TimelineEntry:
    return TimelineEntry(row.received, "event", "activity", row.type, f"from {row.source}", row.event_id, "", "")


def _choice_entry(context: ConsoleContext, choice: MessageChoice, at: WallClock) -> TimelineEntry:
    decision = choice.lead.decision
    return TimelineEntry(
        decision.time,
        "decision",
        "list-details",
        context.campaign_name(decision.campaign),
        decision_words.short_reason(decision, at),
        decision.reason,
        f"/console/decisions/{choice.lead.decision_id}",
        decision.outcome,
        channel_lines(choice.decisions),
    )


def _message_entry(context: ConsoleContext, row: Any) -> TimelineEntry:
    channel, icon = decision_words.CHANNELS[row.channel]
    title = f"{channel} {_STATE_PHRASES[row.state]} {row.adapter or 'the adapter'}"
    return TimelineEntry(
        row.updated, "message", icon, title, context.campaign_name(row.campaign), row.message_id, "", ""
    )


def _contact_entry(contact: Contact) -> TimelineEntry:
    attributes = contact.attributes
    title = f"Contact by another tool: {decision_words.channel_label(attributes.channel)}"
    return TimelineEntry(contact.at, "contact", "message", title, attributes.cls, attributes.topic or "", "", "")


def _facts_entries(facts: Facts, at: WallClock) -> Iterator[TimelineEntry]:
    for item in facts.suppressions.situations:
        name = item.kind.replace("_", " ").capitalize()
        yield TimelineEntry(
            item.opened,
            "situation",
            "alert-triangle",
            f"{name} opened",
            "",
            decision_words.format_reference(item.ref),
            "",
            "",
        )
        if item.closed is not None:
            yield TimelineEntry(
                item.closed,
                "situation",
                "check",
                f"{name} closed",
                "",
                decision_words.format_reference(item.ref),
                "",
                "",
            )
    for entry in facts.suppressions.entries:
        scope = ", ".join(str(part) for part in (entry.channel, entry.topic) if part) or "everything"
        reason = entry.reason.replace("_", " ")
        yield TimelineEntry(entry.at, "suppression", "user-off", f"Do not contact: {scope}", reason, "", "", "")
    for consent in facts.preference.consent:
        what = "all topics" if consent.topic == "*" else consent.topic
        title = f"Consent {consent.status}: {decision_words.CHANNELS[consent.channel][0]}, {what}"
        source = f"through {consent.source}" if consent.source else ""
        yield TimelineEntry(consent.at, "consent", "file-certificate", title, source, consent.wording or "", "", "")
    for quarantine in (*facts.preference.quarantines, *facts.suppressions.quarantines):
        yield TimelineEntry(
            quarantine.start,
            "quarantine",
            "hand-stop",
            "Quarantined: an event could not be read, and may have been a refusal",
            f"until {at.moment(quarantine.until)}, or until its dead letter is redriven or discarded",
            "",
            "",
            "",
        )
    for hold in facts.suppressions.holds:
        yield TimelineEntry(
            hold.start,
            "hold",
            "hand-stop",
            "Hold on this customer",
            decision_words.describe_hold(hold, at),
            hold.key,
            "",
            "",
        )


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


def _group_by_day(entries: Sequence[TimelineEntry], at: WallClock) -> list[tuple[str, list[TimelineEntry]]]:
    by_day: dict[str, list[TimelineEntry]] = {}
    for entry in entries:
        by_day.setdefault(at.day(entry.at), []).append(entry)
    return list(by_day.items())
