"""Customers page: whom something was decided about lately, their last message, and what holds for them now."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from schemas.decision import Decision
from schemas.facts import SuppressionEntry
from schemas.times import DAY, Instant
from schemas.words import channel_words, join_words
from services.kit.bus.fence import read_applied_offsets
from services.kit.errors import TactfulError
from services.kit.http.auth import Principal, requires
from services.kit.observability import logs
from services.orchestrator.console import decision_words, store
from services.orchestrator.console.console_context import NAMES, ConsoleContext, customer_name, may_see_names
from services.orchestrator.console.page_frame import PageRenderer, customer_link, page_route_class
from services.orchestrator.console.store import DecisionListFilter
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.policy.customer_facts import Facts

PATH = "/console/customers"
MAX_CUSTOMERS = 50
SPAN = 7 * DAY
DO_NOT_CONTACT = "do not contact"
"""What an entry says that covers everything."""
_SCANNED_DECISIONS = 1000
MESSAGE_PHRASES = {
    "handing_over": "being handed over",
    "accepted": "handed over",
    "delivered": "delivered",
    "bounced_soft": "bounced, temporarily",
    "bounced_hard": "bounced for good",
    "complained": "reported as spam",
    "rejected": "rejected by the provider",
    "unknown": "perhaps sent",
}


class CustomerRow(NamedTuple):
    """A row of the list. `state` is what holds now; None if this person may not see it or it cannot be read."""

    customer: str
    path: str
    name: str | None
    message: Markup | None
    outcome: str
    campaign: str
    reason: Markup
    decided: Markup
    state: list[str] | None


def customers_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the route of the list."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def customers(
        request: Request, principal: Principal = requires("decisions:read", shows_more=NAMES, list_unless="")
    ) -> Response:
        at = await context.get_wall_clock()
        async with context.database.read() as tx:
            newest = await store.list_newest_decisions(
                tx, DecisionListFilter(), at.now - SPAN, None, _SCANNED_DECISIONS
            )
            latest = _latest_by_customer([item.decision for item in newest])
            messages = {row.customer: row for row in await store.list_last_messages(tx, list(latest), MESSAGE_PHRASES)}
        facts = await _read_facts(context, list(latest)) if may_see_names(principal) else {}
        rows = [
            _build_row(context, decision, messages.get(customer), facts.get(customer), at)
            for customer, decision in latest.items()
        ]
        return await renderer.render_page(
            request, principal, "customers.html", at,
            page="customers",
            rows=rows,
            sees_names=may_see_names(principal),
            is_incomplete=may_see_names(principal) and bool(latest) and not facts,
        )  # fmt: skip

    return routes


def _latest_by_customer(newest_first: Sequence[Decision]) -> dict[str, Decision]:
    """Each customer's last decision, newest first. Of one choice the decision that says most, as in other lists."""
    latest: dict[str, Decision] = {}
    for decision in newest_first:
        known = latest.get(decision.customer)
        if known is None:
            if len(latest) < MAX_CUSTOMERS:
                latest[decision.customer] = decision
        elif known.time == decision.time and known.event == decision.event and _says_more(decision, known):
            latest[decision.customer] = decision
    return latest


def _says_more(decision: Decision, known: Decision) -> bool:
    order = ("send", "defer", "fail", "suppress")
    return (order.index(decision.outcome), decision.reason == "other_channel") < (
        order.index(known.outcome),
        known.reason == "other_channel",
    )


async def _read_facts(context: ConsoleContext, customers: Sequence[str]) -> Mapping[str, Facts]:
    """The facts of these customers; nothing while a service does not answer."""
    if not customers:
        return {}
    try:
        async with context.database.read() as tx:
            offsets = await read_applied_offsets(tx)
            catalogue = await context.snapshot.get_catalogue(tx)
        return await context.facts_reader.read_facts(customers, catalogue, offsets)
    except TactfulError as error:
        logs.log_error("console_facts_unknown", error, "warning")
        return {}


def _build_row(
    context: ConsoleContext, decision: Decision, message: Any | None, facts: Facts | None, at: WallClock
) -> CustomerRow:
    return CustomerRow(
        decision.customer,
        customer_link(decision.customer),
        customer_name(facts.preference) if facts else None,
        None if message is None else _describe_message(context, message, at),
        decision.outcome,
        context.campaign_name(decision.campaign),
        decision_words.short_reason(decision, at),
        at.tag(decision.time, "brief"),
        None if facts is None else describe_state(facts, at.now),
    )


def _describe_message(context: ConsoleContext, message: Any, at: WallClock) -> Markup:
    channel = decision_words.CHANNELS[message.channel][0]
    return Markup('<bdi>{}</bdi> <span class="sub">{} {}, {}</span>').format(
        context.campaign_name(message.campaign),
        channel,
        MESSAGE_PHRASES[message.state],
        at.tag(message.updated, "brief"),
    )


def describe_state(facts: Facts, now: Instant) -> list[str]:
    """What keeps messages from this customer now, in words, and for which channels there is a usable address."""
    preference, suppressions = facts.preference, facts.suppressions
    found = describe_do_not_contact(suppressions.entries, now)
    if DO_NOT_CONTACT in found:
        return [DO_NOT_CONTACT]
    if preference.paused_until is not None and preference.paused_until > now:
        found.append("paused")
    if any(item.all for item in preference.opt_outs):
        found.append("opted out of everything")
    elif preference.opt_outs:
        count = len(preference.opt_outs)
        found.append(f"{count} opt-out{'' if count == 1 else 's'}")
    open_kinds = dict.fromkeys(item.kind for item in suppressions.situations if item.closed is None)
    found += [f"{kind.replace('_', ' ')} open" for kind in open_kinds]
    usable = [item.channel for item in preference.addresses if item.problem is None]
    reached = dict.fromkeys(channel_words(channel) for channel in usable)
    found.append(f"has addresses for {join_words(reached)}" if reached else "no usable address")
    return found


def describe_do_not_contact(entries: Sequence[SuppressionEntry], now: Instant) -> list[str]:
    """What the entries of the do-not-contact list cover now, each once."""
    return list(dict.fromkeys(describe_entry(item) for item in entries if item.expires is None or item.expires > now))


def describe_entry(entry: SuppressionEntry) -> str:
    """What a do-not-contact entry covers. One of an address says no more than its channel."""
    parts = [
        f"by {channel_words(entry.channel)}"
        if entry.channel
        else "at one address"
        if entry.address is not None
        else "",
        f"with {join_words(entry.classes)} messages" if entry.classes else "",
        f"about {entry.topic}" if entry.topic else "",
    ]
    return " ".join([DO_NOT_CONTACT, *filter(None, parts)])
