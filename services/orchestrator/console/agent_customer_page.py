"""The page for agents about one customer: what holds now, what waits, what was sent, what was not and why."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from schemas.agent_api import ListedSituations
from schemas.facts import Situation
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.kit.db.database import Tx
from services.kit.errors import NotFound, TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.console import agent_store, agent_words, decision_words, store
from services.orchestrator.console.agent_lookup_page import CUSTOMER_PATH, SERVE, agent_customer_link
from services.orchestrator.console.agent_notices import describe_done
from services.orchestrator.console.console_context import ConsoleContext, customer_name
from services.orchestrator.console.message_choices import load_choices
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.decisions import read_store
from services.orchestrator.explain import timeline, timeline_store
from services.orchestrator.explain.situation_effects import list_effects_of
from services.orchestrator.policy.customer_facts import Facts

MAX_MESSAGES: Final = 20
MAX_SCANNED: Final = 200
MAX_CAMPAIGNS: Final = 10
MAX_PAUSE_DAYS: Final = (7, 30, 90)
Customer = Annotated[str, Query(min_length=1, max_length=1024)]


class MessageLine(NamedTuple):
    """A message and one sentence about it."""

    name: str
    sentence: Markup
    held: bool = False


class MessageLists(NamedTuple):
    """What waits for a customer, what was sent, and what was not."""

    waiting: list[MessageLine]
    sent: list[MessageLine]
    refused: list[MessageLine]


class SituationRow(NamedTuple):
    """A situation with what it forbids."""

    kind: str
    ref: str
    name: str
    sentence: Markup
    effects: list[Markup]
    is_open: bool


class MessageOffer(NamedTuple):
    """A campaign for agents, and what would become of its message now."""

    key: str
    name: str
    forecast: Markup


def agent_customer_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the route of the page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(CUSTOMER_PATH)
    async def show_served_customer(
        request: Request,
        customer: Customer,
        done: Annotated[str, Query(max_length=20)] = "",
        event: Annotated[str, Query(max_length=300)] = "",
        principal: Principal = requires(SERVE),
    ) -> Response:
        facts = await context.load_facts(customer)
        at = WallClock(facts.calendar_zone, context.clock.now(), "the customer")
        listed = await context.suppression.read_situations(customer)
        async with context.database.read() as tx:
            messages = await _load_messages(context, tx, customer, at)
            is_known = bool(messages.waiting or messages.sent or messages.refused) or await store.is_known_customer(
                tx, customer
            )
        if not is_known and not timeline.is_known(facts):
            raise NotFound(timeline.NOTHING_KNOWN.format(customer))
        return await renderer.render_page(
            request, principal, "agent-customer.html", at,
            page="agent",
            customer=customer,
            name=customer_name(facts.preference),
            notice=await _find_notice(context, customer, principal, done, event, facts, listed, at),
            standing=agent_words.list_standing(facts, at),
            situations=_situation_rows(facts, listed, at),
            once=secrets.token_hex(16),
            history=[(line.recorded, agent_words.describe_change(line, at)) for line in listed.history],
            kinds=[(kind, kind.replace("_", " ")) for kind in listed.kinds],
            messages=messages,
            **await _offers(context, customer, principal, at),
            **_choices(facts, at),
            action=lambda name: agent_customer_link(customer).replace(CUSTOMER_PATH, f"{CUSTOMER_PATH}/{name}", 1),
        )  # fmt: skip

    return routes


async def _find_notice(
    context: ConsoleContext,
    customer: str,
    principal: Principal,
    done: str,
    event: str,
    facts: Facts,
    listed: ListedSituations,
    at: WallClock,
) -> Markup | None:
    """What became of what the agent has just done, by what is stored now: the address alone says nothing."""
    if event:
        source = context.agent_messages.source_of(principal)
        async with context.database.read() as tx:
            found = await read_store.list_event_decisions(tx, customer, source, event)
        return agent_words.describe_result([each.decision for each in found] or None, at)
    return describe_done(done, facts, listed, at)


def _choices(facts: Facts, at: WallClock) -> dict[str, Any]:
    """What the forms offer."""
    preference, topics = facts.preference, facts.policy.document.topics
    channels = sorted({*facts.configured_channels, *(each.channel for each in preference.addresses)})
    return {
        "is_paused": preference.paused_until is not None and preference.paused_until > at.now,
        "pause_days": MAX_PAUSE_DAYS,
        "opt_outs": [
            ("class:marketing", "All marketing"),
            *((f"channel:{id}", f"Everything by {decision_words.channel_label(id)}") for id in channels),
            *((f"topic:{each.key}", f"The topic {each.name}") for each in topics if not each.required),
        ],
        "addresses": [
            (index, decision_words.channel_label(each.channel), each.address, each.problem, each.verified)
            for index, each in enumerate(preference.addresses)
        ],
        "version": preference.version,
    }


async def _offers(context: ConsoleContext, customer: str, principal: Principal, at: WallClock) -> dict[str, Any]:
    """The campaigns for agents, each with what would become of its message now; and what the agent has left today."""
    offers = []
    for campaign in (await context.agent_messages.list_campaigns())[:MAX_CAMPAIGNS]:
        try:
            found = await context.explainer.explain_now(customer, campaign.key)
            forecast = agent_words.describe_forecast(found.decisions, at)
        except TactfulError:
            forecast = Markup("What would become of it cannot be said at the moment.")
        offers.append(MessageOffer(campaign.key, context.campaign_name(campaign.key), forecast))
    return {"offers": offers, "budget": await context.agent_messages.get_budget(principal)}


def _situation_rows(facts: Facts, listed: ListedSituations, at: WallClock) -> list[SituationRow]:
    return [
        SituationRow(
            line.kind,
            line.ref,
            agent_words.situation_name(line.kind, line.ref),
            agent_words.describe_situation(line, at),
            [
                agent_words.describe_situation_effect(effect, at)
                for effect in list_effects_of(facts, Situation(line.kind, line.ref, line.opened, line.closed), at.now)
            ],
            line.is_open,
        )
        for line in listed.situations
    ]


async def _load_messages(context: ConsoleContext, tx: Tx, customer: str, at: WallClock) -> MessageLists:
    waiting = [
        await _waiting_line(context, tx, customer, row, at)
        for row in await agent_store.list_waiting(tx, customer, MAX_MESSAGES)
    ]
    sent = [
        MessageLine(context.campaign_name(row.campaign), agent_words.describe_sent(row, at))
        for row in await agent_store.list_sent(tx, customer, MAX_MESSAGES)
    ]
    return MessageLists(waiting, sent, await _refused_lines(context, tx, customer, at))


async def _waiting_line(context: ConsoleContext, tx: Tx, customer: str, row: Any, at: WallClock) -> MessageLine:
    newest = await store.get_newest_decision(tx, customer, row.message_id)
    decision, due = None if newest is None else newest.decision, row.due
    sentence = agent_words.describe_waiting(decision, due, held=bool(row.held), at=at)
    return MessageLine(context.campaign_name(row.campaign), sentence, bool(row.held))


async def _refused_lines(context: ConsoleContext, tx: Tx, customer: str, at: WallClock) -> list[MessageLine]:
    """The newest choices of which nothing was sent and nothing waits."""
    stored = await timeline_store.list_decisions(tx, customer, at.now, MAX_SCANNED)
    choices: Sequence[Any] = list((await load_choices(tx, stored)).values())
    refused = [each.lead.decision for each in choices if each.outcome in (Outcome.SUPPRESS, Outcome.FAIL)]
    return [
        MessageLine(
            context.campaign_name(decision.campaign),
            Markup("{}: {}").format(_when(decision.time, at), decision_words.explanation_sentence(decision, at)),
        )
        for decision in refused[:MAX_MESSAGES]
    ]


def _when(t: Instant, at: WallClock) -> Markup:
    return at.tag(t, "moment")
