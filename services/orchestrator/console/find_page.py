"""Search: finds customers, campaigns, messages, events, holds and reasons by what people know of them.

One hit leads to its page; several are listed; none says what was searched. The forms send what somebody looks for in
the body of a POST: it may be an address, and addresses do not belong into URLs, which proxies log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from schemas.roles import is_allowed
from services.kit.errors import TactfulError
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import LIST_CUSTOMERS, Principal, requires
from services.kit.http.sessions import read_form
from services.orchestrator.console import decision_words, store
from services.orchestrator.console.console_context import NAMES, ConsoleContext, customer_name, may_see_names
from services.orchestrator.console.holds_page import hold_link
from services.orchestrator.console.page_frame import PageRenderer, customer_link, link, page_route_class
from services.orchestrator.console.time_format import WallClock

PATH = "/console/find"
MAX_TEXT_LENGTH = 256
MAX_HITS = 20
"""At most so many of each kind are listed."""
MAX_NAMESAKES = 5
"""Customers of one name who are listed for a role that sees no lists of customers."""
_MAX_CAMPAIGNS = 500
_MIN_PART_LENGTH = 3
"""Campaigns and holds are found by a part of their name that is at least so long."""


class Hit(NamedTuple):
    """Something that was found: a name, what it is, and its page."""

    title: str
    remark: str | Markup
    path: str


@dataclass(slots=True)
class SearchResult:
    """Hits by kind, and the kinds that could not be searched."""

    groups: list[tuple[str, list[Hit]]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def add(self, kind: str, hits: Sequence[Hit]) -> None:
        """Add the hits of one kind; pages that are there already are left out."""
        known = {hit.path for _, group in self.groups for hit in group}
        fresh = list({hit.path: hit for hit in hits if hit.path not in known}.values())
        if fresh:
            self.groups.append((kind, fresh[:MAX_HITS]))

    @property
    def hits(self) -> list[Hit]:
        """All hits."""
        return [hit for _, group in self.groups for hit in group]


def find_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of search."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    async def answer(request: Request, principal: Principal, text: str) -> Response:
        at = await context.get_wall_clock()
        text = " ".join(text.split())[:MAX_TEXT_LENGTH]
        result = await _search(context, principal, text, at) if text else SearchResult()
        hits = result.hits
        if len(hits) == 1 and not result.gaps:
            return RedirectResponse(hits[0].path, 303)
        return await renderer.render_page(
            request, principal, "find.html", at,
            page="",
            text=text,
            groups=result.groups,
            gaps=result.gaps,
            sees_names=may_see_names(principal),
            most=MAX_HITS,
        )  # fmt: skip

    @routes.get(PATH)
    async def find_by_query(
        request: Request,
        q: Annotated[str, Query(max_length=MAX_TEXT_LENGTH)] = "",
        principal: Principal = requires("decisions:read", shows_more=NAMES),
    ) -> Response:
        return await answer(request, principal, q)

    @routes.post(PATH)
    async def find(request: Request, principal: Principal = requires("decisions:read", shows_more=NAMES)) -> Response:
        return await answer(request, principal, (await read_form(request)).get("q", ""))

    return routes


async def _search(context: ConsoleContext, principal: Principal, text: str, at: WallClock) -> SearchResult:
    result = SearchResult()
    async with context.database.read() as tx:
        is_customer = await store.is_known_customer(tx, text)
        message = await store.get_message_owner(tx, text)
        events = await store.list_events_with_id(tx, text, MAX_HITS)
        campaigns = await store.list_campaign_documents(tx, _MAX_CAMPAIGNS)
        is_decision = text.isascii() and text.isdigit() and await store.is_decision(tx, int(text[:18]))
    await _add_customers(context, principal, text, is_customer, result)
    _add_campaigns(context, text, campaigns, result)
    if message is not None:
        result.add("Message", [_message_hit(context, message)])
    if is_decision:
        result.add("Decision", [Hit(f"Decision {int(text[:18])}", "", f"/console/decisions/{int(text[:18])}")])
    result.add("Event", [_event_hit(row, at) for row in events])
    await _add_holds(context, text, at, result)
    reasons = [
        (code, title) for code, title in decision_words.REASONS.items() if text.casefold() in (code, title.casefold())
    ]
    result.add(
        "Reason", [Hit(title, "decisions of the last 7 days", _decisions(reason=code)) for code, title in reasons]
    )
    return result


async def _add_customers(
    context: ConsoleContext, principal: Principal, text: str, is_customer: bool, result: SearchResult
) -> None:
    """Add customers by id; for those who may see names also by name and by address."""
    exact = [Hit(text, "by id", customer_link(text))] if is_customer else []
    if not may_see_names(principal):
        result.add("Customer", exact)
        return
    try:
        found = await context.preference.find_customers(text, MAX_HITS)
        known = await context.preference.get_facts([text], {})
    except TactfulError:
        result.add("Customer", exact)
        result.gaps.append("Names and addresses could not be searched: the preference service does not answer.")
        return
    if known[text].version:
        exact = [Hit(text, "by id", customer_link(text))]
    if not found.is_complete:
        result.gaps.append("Names and addresses are not searched completely: their index is still being made.")
    most = MAX_HITS if is_allowed(principal.role, LIST_CUSTOMERS) else MAX_NAMESAKES
    if len(found.by_name) > most or len(found.by_address) > most:
        result.add("Customer", exact)
        result.gaps.append(f"More than {most} customers match, and your role sees no lists: ask for the id or address.")
        return
    ways = {**dict.fromkeys(found.by_name, "by name"), **dict.fromkeys(found.by_address, "by address")}
    ways |= {hit.title: "by id" for hit in exact}
    for customer in ways:
        note_customer(customer)
    preferences = await context.get_preferences(list(ways))
    hits = [
        Hit(customer_name(preferences.get(customer)) or customer, f"{customer}, {way}", customer_link(customer))
        for customer, way in ways.items()
    ]
    result.add("Customer", sorted(hits, key=lambda hit: not hit.remark.endswith("by id")))


def _add_campaigns(context: ConsoleContext, text: str, rows: Sequence[Any], result: SearchResult) -> None:
    """Add campaigns by key, name or a part of it, and those that an event type triggers."""
    part = text.casefold() if len(text) >= _MIN_PART_LENGTH else None
    by_name, by_event = [], []
    for row in rows:
        document = msgspec.json.decode(row.document)
        name = str(document.get("name", row.key))
        if row.key == text or (part is not None and (part in name.casefold() or part in row.key)):
            by_name.append(Hit(name, f"{row.key}, decisions of the last 7 days", _decisions(campaign=row.key)))
        trigger = document.get("trigger")
        if isinstance(trigger, dict) and trigger.get("event") == text:
            by_event.append(
                Hit(name, f"triggered by {text}, decisions of the last 7 days", _decisions(campaign=row.key))
            )
    result.add("Event type", by_event)
    result.add("Campaign", by_name)


async def _add_holds(context: ConsoleContext, text: str, at: WallClock, result: SearchResult) -> None:
    """Add holds by key; those in force and to come also by a part of it."""
    try:
        standing = await context.suppression.get_holds()
        past = await context.suppression.get_hold_records(text, 1)
    except TactfulError:
        result.gaps.append("Holds could not be searched: the suppression service does not answer.")
        return
    similar = [hold for hold in standing if len(text) >= _MIN_PART_LENGTH and text.casefold() in hold.key.casefold()]
    words = {hold.key: decision_words.describe_hold(hold, at) for hold in similar}
    words |= {item.fact.key: decision_words.describe_hold(item.fact, at, item.lifted_at) for item in past}
    result.add("Hold", [Hit(key, said, hold_link(key)) for key, said in words.items()])


def _message_hit(context: ConsoleContext, row: Any) -> Hit:
    channel = decision_words.CHANNELS[row.channel][0]
    return Hit(
        row.message_id,
        f"{context.campaign_name(row.campaign)} by {channel} to {row.customer}",
        f"/console/decisions/{row.decision_id}",
    )


def _event_hit(row: Any, at: WallClock) -> Hit:
    remark = Markup("{} of {}, {}").format(row.type, row.customer, at.tag(row.received))
    return Hit(row.event_id, remark, customer_link(row.customer))


def _decisions(**query: str) -> str:
    return link("/console/decisions", **query, span="7d")
