"""Why page: would this customer get this campaign now, in a sentence, as a time picture, and rule by rule."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schemas.decision import Decision
from schemas.roles import is_allowed
from schemas.vocabulary import Channel
from services.kit.errors import Invalid, NotFound, TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.console import decision_words, store, time_picture
from services.orchestrator.console.console_context import (
    NAMES,
    ConsoleContext,
    customer_clock,
    customer_name,
    may_see_names,
)
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.explain.explainer import outcome_rank
from services.orchestrator.explain.wording import explain_decision, list_changes, summarise_reason

PATH = "/console/why"
QueryText = Annotated[str, Query(max_length=256)]
_MAX_CONTACTS = 12


def why_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the route of the why page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def why(
        request: Request,
        customer: QueryText = "",
        campaign: QueryText = "",
        channel: QueryText = "",
        principal: Principal = requires("why:read", shows_more=NAMES),
    ) -> Response:
        at = await context.get_wall_clock()
        async with context.database.read() as tx:
            campaigns = [
                (row.key, context.campaign_name(row.key)) for row in await store.list_campaign_documents(tx, 500)
            ]
        explanation: dict[str, Any] | None = None
        fault = ""
        if customer.strip() and campaign:
            try:
                explanation = await _build_explanation(context, principal, customer.strip(), campaign, channel, at)
            except (Invalid, NotFound) as error:
                fault = error.detail
        return await renderer.render_page(
            request, principal, "why.html", explanation["at"] if explanation else at,
            status=404 if fault else 200,
            page="why",
            customer=customer.strip(),
            campaign=campaign,
            channel=channel,
            campaigns=campaigns,
            all_channels=tuple(Channel),
            explanation=explanation,
            fault=fault,
        )  # fmt: skip

    return routes


async def _build_explanation(
    context: ConsoleContext, principal: Principal, customer: str, campaign: str, channel: str, organisation: WallClock
) -> dict[str, Any]:
    explained = await context.explainer.explain_now(customer, campaign)
    decisions = explained.decisions
    chosen = _choose_decision(decisions, campaign, channel)
    preference = (await context.get_preferences([customer])).get(customer)
    at = customer_clock(preference, replace(organisation, now=explained.at))
    name = customer_name(preference) if may_see_names(principal) else None
    return {
        "decision": chosen,
        "name": name,
        "campaign": context.campaign_name(campaign),
        "at": at,
        "answer": decision_words.answer_sentence(chosen, name or "This customer", at),
        "sentence": at.format_instants(explain_decision(chosen)),
        "reason": summarise_reason(chosen),
        "changes": [at.format_instants(change) for change in list_changes(chosen)],
        "others": [(item, decision_words.short_reason(item, at)) for item in decisions if item is not chosen],
        "last": explained.assumed_event,
        "unknown": [at.format_instants(note) for note in explained.unknown],
        "is_known": bool(preference and preference.version) or explained.assumed_event is not None,
        "lines": decision_words.trace_lines(chosen, at),
        "tally": decision_words.verdict_tally(chosen),
        **await _load_time_picture(context, principal, chosen, at),
    }


async def _load_time_picture(
    context: ConsoleContext, principal: Principal, chosen: Decision, at: WallClock
) -> dict[str, Any]:
    """Loads contacts and the time picture, for those who may see a customer's contacts and situations."""
    nothing: dict[str, Any] = {"picture": None, "contacts": []}
    if not (is_allowed(principal.role, "contacts:read") and is_allowed(principal.role, "situations:read")):
        return nothing
    async with context.database.read() as tx:
        versioned_ledger = (await ledger_store.load_ledgers(tx, [chosen.customer])).get(
            chosen.customer, ledger_store.EMPTY_LEDGER
        )
    try:
        facts = await context.load_facts(chosen.customer)
    except TactfulError:
        return nothing
    contacts = sorted(versioned_ledger.ledger, key=lambda contact: contact.at, reverse=True)[:_MAX_CONTACTS]
    return {
        "picture": time_picture.draw_picture(chosen, facts, versioned_ledger.ledger, at),
        "contacts": [
            (
                contact,
                context.campaign_name(contact.attributes.campaign) if contact.attributes.campaign else "Another tool",
            )
            for contact in contacts
        ],
    }


def _choose_decision(decisions: Sequence[Decision], campaign: str, channel: str) -> Decision:
    on_channel = [decision for decision in decisions if not channel or decision.channel == channel]
    if not on_channel:
        used_channels = ", ".join(decision.channel for decision in decisions)
        raise Invalid(f"the campaign {campaign} does not use the channel {channel}; it uses {used_channels}")
    return min(on_channel, key=outcome_rank)
