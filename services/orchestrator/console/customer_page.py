"""A customer: what holds now, and everything that happened, newest first."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.facts import OptOut
from schemas.times import DAY, Instant
from services.kit.errors import TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.console import decision_words, history, store
from services.orchestrator.console.console_context import Parts, name_of, names_allowed
from services.orchestrator.console.page_frame import Frame, link, page_class
from services.orchestrator.console.store import Wanted
from services.orchestrator.console.time_format import Calendar
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact

PATH = "/console/customers"
ROWS = 60
_NEVER = 2**62
_STATES = {
    "handing_over": "is being handed over",
    "accepted": "was accepted by",
    "delivered": "was delivered by",
    "bounced_soft": "bounced for now at",
    "bounced_hard": "bounced at",
    "complained": "was reported as spam through",
    "rejected": "was rejected by",
    "unknown": "may have been sent by",
}


class Entry(NamedTuple):
    """Something that happened. `kind` is event, decision, message, contact, situation, consent, suppression or hold."""

    at: Instant
    kind: str
    icon: str
    title: str
    remark: str
    code: str
    path: str
    outcome: str


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The routes of customers."""
    routes = APIRouter(include_in_schema=False, route_class=page_class(frame))

    @routes.get(PATH)
    async def customers(request: Request, principal: Principal = requires("customers:read")) -> Response:
        at = await parts.calendar()
        async with parts.database.read() as tx:
            found = await store.newest(tx, Wanted(), at.now - 7 * DAY, None, 300)
        latest = {item.decision.customer: item.decision for item in reversed(found)}
        known = await parts.preferences(list(latest))
        rows = sorted(latest.values(), key=lambda decision: decision.time, reverse=True)[:50]
        people = [(item, name_of(known.get(item.customer)), decision_words.reason(item, at)) for item in rows]
        return await frame.show(request, principal, "customers.html", at, page="customers", people=people)

    @routes.get(PATH + "/{id:path}")
    async def one(
        request: Request,
        id: Annotated[str, Path(max_length=256)],
        before: Annotated[int | None, Query(ge=0, le=_NEVER)] = None,
        principal: Principal = requires("customers:read"),
    ) -> Response:
        organisation = await parts.calendar()
        facts = await _facts(parts, id)
        at = Calendar(facts.calendar_zone, organisation.now) if facts else organisation
        entries, older = await _entries(parts, id, facts, before or _NEVER, at)
        return await frame.show(
            request, principal, "customer.html", at,
            page="customers",
            customer=id,
            name=name_of(facts.preference) if facts else None,
            facts=facts,
            now=_now(facts, at) if facts else [],
            days=_by_day(entries, at),
            older=None if older is None else link(f"{PATH}/{id}", before=older),
        )  # fmt: skip

    @routes.get("/console/find")
    async def find(
        q: Annotated[str, Query(max_length=256)] = "", principal: Principal = requires("decisions:read")
    ) -> Response:
        wanted = q.strip()
        async with parts.database.read() as tx:
            campaign = await catalogue_store.get_head(tx, wanted) if wanted else None
            owner = await store.owner_of_event(tx, wanted) if wanted and campaign is None else None
        if campaign is not None:
            return RedirectResponse(link("/console/decisions", campaign=wanted), 303)
        customer = owner or wanted
        if names_allowed(principal) and customer:
            return RedirectResponse(link(f"{PATH}/{customer}"), 303)
        return RedirectResponse(link("/console/decisions", customer=customer), 303)

    return routes


async def _facts(parts: Parts, customer: str) -> Facts | None:
    try:
        return await parts.facts(customer)
    except TactfulError:
        return None


async def _entries(
    parts: Parts, customer: str, facts: Facts | None, before: Instant, at: Calendar
) -> tuple[list[Entry], Instant | None]:
    """One page of what happened before an instant, and where the next page begins."""
    async with parts.database.read() as tx:
        events = await history.events(tx, customer, before, ROWS + 1)
        decisions = await history.decisions(tx, customer, before, ROWS + 1)
        messages = await history.messages(tx, customer, before, ROWS + 1)
        held = (await data_plane.load_ledgers(tx, [customer])).get(customer, data_plane.EMPTY_LEDGER)
    found = [
        *(_event(row) for row in events),
        *(_decision(parts, item, at) for item in decisions),
        *(_message(parts, row) for row in messages if row.state in _STATES),
        *(_contact(contact) for contact in held.ledger if contact.reported),
        *(_facts_entries(facts, at) if facts else ()),
    ]
    ranked = sorted((entry for entry in found if entry.at < min(before, at.now + 1)), key=_order, reverse=True)
    if len(ranked) <= ROWS:
        return ranked, None
    edge = ranked[ROWS - 1].at
    return [entry for entry in ranked if entry.at >= edge], edge


def _order(entry: Entry) -> tuple[Instant, int]:
    ranks = ("situation", "event", "hold", "decision", "message")
    return entry.at, ranks.index(entry.kind) if entry.kind in ranks else 0


def _event(row: Any) -> Entry:
    return Entry(row.received, "event", "activity", row.type, f"from {row.source}", row.event_id, "", "")


def _decision(parts: Parts, kept: Any, at: Calendar) -> Entry:
    found = kept.decision
    channel = decision_words.CHANNELS[found.channel][0]
    path = link("/console/decisions", customer=found.customer, decision=kept.decision_id)
    title = f"{parts.campaign_name(found.campaign)}, {channel}"
    return Entry(
        found.time,
        "decision",
        "list-details",
        title,
        decision_words.reason(found, at),
        found.reason,
        path,
        found.outcome,
    )


def _message(parts: Parts, row: Any) -> Entry:
    channel, icon = decision_words.CHANNELS[row.channel]
    title = f"{channel} {_STATES[row.state]} {row.adapter or 'the adapter'}"
    return Entry(row.updated, "message", icon, title, parts.campaign_name(row.campaign), row.message_id, "", "")


def _contact(contact: Contact) -> Entry:
    kind = contact.attributes
    title = f"Another tool wrote: {decision_words.CHANNELS[kind.channel][0]}"
    return Entry(contact.at, "contact", "message", title, kind.cls, kind.topic or "", "", "")


def _facts_entries(facts: Facts, at: Calendar) -> Iterator[Entry]:
    for item in facts.suppressions.situations:
        name = item.kind.replace("_", " ").capitalize()
        yield Entry(
            item.opened, "situation", "alert-triangle", f"{name} opened", "", decision_words.reference(item.ref), "", ""
        )
        if item.closed is not None:
            yield Entry(
                item.closed, "situation", "check", f"{name} closed", "", decision_words.reference(item.ref), "", ""
            )
    for entry in facts.suppressions.entries:
        scope = ", ".join(str(part) for part in (entry.channel, entry.topic) if part) or "everything"
        reason = entry.reason.replace("_", " ")
        yield Entry(entry.at, "suppression", "user-off", f"Do not contact: {scope}", reason, "", "", "")
    for given in facts.preference.consent:
        what = "all topics" if given.topic == "*" else given.topic
        title = f"Consent {given.status}: {decision_words.CHANNELS[given.channel][0]}, {what}"
        source = f"through {given.source}" if given.source else ""
        yield Entry(given.at, "consent", "file-certificate", title, source, given.wording or "", "", "")
    for hold in facts.suppressions.holds:
        yield Entry(
            hold.start,
            "hold",
            "hand-stop",
            "Hold on this customer",
            decision_words.hold_words(hold, at),
            hold.key,
            "",
            "",
        )


def _now(facts: Facts, at: Calendar) -> list[tuple[str, str]]:
    """What holds for this customer now, in words. No address is among them."""
    known = facts.preference
    reach = [
        f"{decision_words.CHANNELS[address.channel][0]}{'' if address.verified else ' (not verified)'}"
        for address in known.addresses
    ]
    open_now = [item for item in facts.suppressions.situations if item.closed is None]
    rows = [
        ("Can be reached by", ", ".join(dict.fromkeys(reach)) or "no channel"),
        ("Switched off", ", ".join(_switched_off(item) for item in known.opt_outs) or "nothing"),
        ("Open situations", ", ".join(item.kind.replace("_", " ") for item in open_now) or "none"),
        (
            "Do not contact",
            f"{len(facts.suppressions.entries)} entries" if facts.suppressions.entries else "on no list",
        ),
        ("Zone", f"{facts.calendar_zone.name}, it is {at.clock(at.now)}"),
        ("Language, country", ", ".join(part for part in (known.locale, known.country) if part) or "not known"),
    ]
    if known.paused_until is not None and known.paused_until > at.now:
        rows.insert(2, ("Paused", f"until {at.moment(known.paused_until)}"))
    if known.frequency is not None:
        rows.insert(2, ("Own wish", f"at most {known.frequency.limit} a {known.frequency.per}"))
    return rows


def _switched_off(item: OptOut) -> str:
    if item.all:
        return "everything"
    parts = [item.cls, decision_words.CHANNELS[item.channel][0] if item.channel else None, item.topic]
    return " ".join(part for part in parts if part)


def _by_day(entries: Sequence[Entry], at: Calendar) -> list[tuple[str, list[Entry]]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(at.day(entry.at), []).append(entry)
    return list(found.items())
