"""Judges live events once more in each world of a shadow, with the functions that decide, and compares. Pure.

Facts and ledgers are those that the live decisions saw. A customer's events of one batch follow one another in each
world; the next batch begins with the live ledger again. Nothing leaves this module but notes: no contact is kept, and
content is rendered and dropped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from schemas.decision import Decision
from schemas.event import Event
from schemas.times import Instant
from schemas.vocabulary import Outcome, Reason
from services.orchestrator.decisions.evaluation import CustomerEvaluation, RenderMessage
from services.orchestrator.decisions.store import EventKey
from services.orchestrator.insight.shadow.observations import Note
from services.orchestrator.insight.shadow.variants import World
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import DecideResult, PlannedMessage, decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.template import RenderError


class Arrival(Protocol):
    """An event that nobody has judged before, or the contact that it reports."""

    @property
    def event(self) -> Event: ...

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def reported_contact(self) -> Contact | None: ...

    @property
    def key(self) -> EventKey: ...


@dataclass(frozen=True, slots=True)
class Live:
    """What is live decided about the events of one customer, by event: what it triggered, and the decisions."""

    touches: Mapping[EventKey, tuple[TriggeredCampaign, ...]]
    decisions: Mapping[EventKey, Mapping[str, Decision]]

    @staticmethod
    def of(work: CustomerEvaluation | None) -> "Live":
        """From the customer's judgement; without one, nothing was triggered."""
        if work is None:
            return _NOTHING
        decisions: dict[EventKey, dict[str, Decision]] = {}
        for each in work.decisions:
            key = each.customer, each.event.source, each.event.id
            decisions.setdefault(key, {})[each.message_id] = each
        triggered: dict[EventKey, tuple[TriggeredCampaign, ...]] = {}
        for question in work.requests:
            for touch in question.triggered_campaigns[:1]:
                triggered[touch.event.subject, touch.event.source, touch.event.id] = question.triggered_campaigns
        return Live(triggered, decisions)


_NOTHING = Live({}, {})


class Turn(NamedTuple):
    """One event in one world: what it triggers there, or the contact that it reports."""

    key: EventKey
    touches: tuple[TriggeredCampaign, ...]
    reported_contact: Contact | None


def turns(world: World, arrivals: Sequence[Arrival], facts: Facts, live: Live) -> list[Turn]:
    """What a customer's events lead to in a world, in order; empty when nothing of it would be noted."""
    found = []
    for arrival in arrivals:
        triggered: tuple[TriggeredCampaign, ...] = ()
        if arrival.reported_contact is None:
            before = live.touches.get(arrival.key, ())
            triggered = world.touches(before, arrival.event, arrival.data, facts.customer_values)
        found.append(Turn(arrival.key, triggered, arrival.reported_contact))
    noted = any(world.concerns(touch.campaign.key) for turn in found for touch in turn.touches)
    return found if noted or (world.compared and _any_live(world, live)) else []


def judge(
    world: World, taken: Sequence[Turn], facts: Facts, ledger: Ledger, live: Live, now: Instant, render: RenderMessage
) -> Iterator[Note]:
    """What the world decides about a customer's events, each beside what is live."""
    known = facts if world.policy is None else msgspec.structs.replace(facts, policy=world.policy)
    for turn in taken:
        if turn.reported_contact is not None:
            ledger = ledger.put_reported_contact(turn.reported_contact)
            continue
        lived = _noted(world, live.decisions.get(turn.key, {}))
        judged = decide(turn.touches, known, ledger, now)
        decisions = _noted(world, {decision.message_id: decision for decision in judged.decisions})
        ledger = judged.ledger
        for planned, error in _unrendered(world, judged, known, lived, now, render):
            decisions[planned.message_id] = _failed(decisions[planned.message_id], error)
            ledger = ledger.release(planned.message_id)
        if not world.compared:
            lived = {}
        for message in {**decisions, **lived}:
            yield Note(world.watched, decisions.get(message), lived.get(message), world.compared)


def _any_live(world: World, live: Live) -> bool:
    return any(world.concerns(each.campaign) for found in live.decisions.values() for each in found.values())


def _noted(world: World, decisions: Mapping[str, Decision]) -> dict[str, Decision]:
    return {message: each for message, each in decisions.items() if world.concerns(each.campaign)}


def _unrendered(
    world: World, judged: DecideResult, facts: Facts, lived: Mapping[str, Decision], now: Instant, render: RenderMessage
) -> Iterator[tuple[PlannedMessage, RenderError]]:
    """What would be sent here and cannot be rendered. What was rendered live, from the same content, is known to be."""
    for planned in judged.planned:
        campaign, live = planned.triggered.campaign, lived.get(planned.message_id)
        if planned.outcome is not Outcome.SEND or not world.concerns(campaign.key):
            continue
        if live is not None and (live.version, live.outcome) == (campaign.version, Outcome.SEND):
            continue
        try:
            render(planned, facts, now)
        except RenderError as error:
            yield planned, error


def _failed(decision: Decision, error: RenderError) -> Decision:
    outcome, reason = Outcome.FAIL.value, Reason.RENDER_ERROR.value
    return msgspec.structs.replace(decision, outcome=outcome, reason=reason, rule_id=error.code, until=None)
