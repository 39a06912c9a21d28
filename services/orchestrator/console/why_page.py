"""Why, or why not: would this customer get this campaign now, in a sentence, as a picture in time, and rule by rule."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schemas.decision import Decision
from schemas.roles import may
from schemas.vocabulary import Channel
from services.kit.errors import Invalid, NotFound, TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.console import decision_words, store, time_picture
from services.orchestrator.console.console_context import Parts, name_of, names_allowed, zone_of
from services.orchestrator.console.page_frame import Frame, page_class
from services.orchestrator.console.time_format import Calendar
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.explain.api import outcome_rank
from services.orchestrator.explain.wording import explain_decision, explain_verdict
from services.orchestrator.policy.explain import blocking_verdicts

PATH = "/console/why"
Text = Annotated[str, Query(max_length=256)]
_CONTACTS = 12


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The route of why."""
    routes = APIRouter(include_in_schema=False, route_class=page_class(frame))

    @routes.get(PATH)
    async def why(
        request: Request,
        customer: Text = "",
        campaign: Text = "",
        channel: Text = "",
        principal: Principal = requires("why:read"),
    ) -> Response:
        at = await parts.calendar()
        async with parts.database.read() as tx:
            campaigns = [(row.key, parts.campaign_name(row.key)) for row in await store.campaign_names(tx, 500)]
        found: dict[str, Any] | None = None
        fault = ""
        if customer.strip() and campaign:
            try:
                found = await _explained(parts, principal, customer.strip(), campaign, channel, at)
            except (Invalid, NotFound) as error:
                fault = error.detail
        return await frame.show(
            request, principal, "why.html", at,
            status=404 if fault else 200,
            page="why",
            customer=customer.strip(),
            campaign=campaign,
            channel=channel,
            campaigns=campaigns,
            all_channels=tuple(Channel),
            found=found,
            fault=fault,
        )  # fmt: skip

    return routes


async def _explained(
    parts: Parts, principal: Principal, customer: str, campaign: str, channel: str, organisation: Calendar
) -> dict[str, Any]:
    last, now, decisions = await parts.explainer.explain_now(customer, campaign)
    chosen = _chosen(decisions, campaign, channel)
    known = (await parts.preferences([customer])).get(customer)
    at = Calendar(zone_of(known, organisation.zone), now)
    name = name_of(known) if names_allowed(principal) else None
    return {
        "decision": chosen,
        "name": name,
        "campaign": parts.campaign_name(campaign),
        "at": at,
        "answer": decision_words.answer(chosen, name or "This customer", at),
        "sentence": at.words(explain_decision(chosen)),
        "reason": decision_words.REASONS[chosen.reason],
        "changes": [at.words(explain_verdict(verdict)) for verdict in blocking_verdicts(chosen)],
        "others": [(item, decision_words.reason(item, at)) for item in decisions if item is not chosen],
        "last": last,
        "lines": decision_words.lines(chosen, at),
        "tally": decision_words.tally(chosen),
        **await _in_time(parts, principal, chosen, at),
    }


async def _in_time(parts: Parts, principal: Principal, chosen: Decision, at: Calendar) -> dict[str, Any]:
    """Contacts and the picture, for those who may see a customer's contacts and situations."""
    nothing: dict[str, Any] = {"picture": None, "contacts": []}
    if not (may(principal.role, "contacts:read") and may(principal.role, "situations:read")):
        return nothing
    async with parts.database.read() as tx:
        held = (await data_plane.load_ledgers(tx, [chosen.customer])).get(chosen.customer, data_plane.EMPTY_LEDGER)
    try:
        facts = await parts.facts(chosen.customer)
    except TactfulError:
        return nothing
    contacts = sorted(held.ledger, key=lambda contact: contact.at, reverse=True)[:_CONTACTS]
    return {
        "picture": time_picture.draw(chosen, facts, held.ledger, at),
        "contacts": [
            (
                contact,
                parts.campaign_name(contact.attributes.campaign) if contact.attributes.campaign else "Another tool",
            )
            for contact in contacts
        ],
    }


def _chosen(decisions: list[Decision], campaign: str, channel: str) -> Decision:
    asked = [decision for decision in decisions if not channel or decision.channel == channel]
    if not asked:
        used = ", ".join(decision.channel for decision in decisions)
        raise Invalid(f"the campaign {campaign} does not use this channel; it uses {used}")
    return min(asked, key=outcome_rank)
