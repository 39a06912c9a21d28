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
from services.orchestrator.decisions.evaluation import Render, Work
from services.orchestrator.decisions.store import EventKey
from services.orchestrator.insight.shadow.observations import Note
from services.orchestrator.insight.shadow.variants import World
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import Judged, Planned, decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import Touch
from services.template import RenderError


class Arrival(Protocol):
    """An event that nobody has judged before, or the contact that it reports."""

    @property
    def event(self) -> Event: ...

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def report(self) -> Contact | None: ...

    @property
    def key(self) -> EventKey: ...


@dataclass(frozen=True, slots=True)
class Live:
    """What is live decided about the events of one customer, by event: what it triggered, and the decisions."""

    touches: Mapping[EventKey, tuple[Touch, ...]]
    decisions: Mapping[EventKey, Mapping[str, Decision]]

    @staticmethod
    def of(work: Work | None) -> "Live":
        """From the customer's judgement; without one, nothing was triggered."""
        if work is None:
            return _NOTHING
        decisions: dict[EventKey, dict[str, Decision]] = {}
        for each in work.decisions:
            key = each.customer, each.event.source, each.event.id
            decisions.setdefault(key, {})[each.message_id] = each
        triggered: dict[EventKey, tuple[Touch, ...]] = {}
        for question in work.questions:
            for touch in question.touches[:1]:
                triggered[touch.event.subject, touch.event.source, touch.event.id] = question.touches
        return Live(triggered, decisions)


_NOTHING = Live({}, {})


class Turn(NamedTuple):
    """One event in one world: what it triggers there, or the contact that it reports."""

    key: EventKey
    touches: tuple[Touch, ...]
    report: Contact | None


def turns(world: World, arrivals: Sequence[Arrival], facts: Facts, live: Live) -> list[Turn]:
    """What a customer's events lead to in a world, in order; empty when nothing of it would be noted."""
    found = []
    for arrival in arrivals:
        triggered: tuple[Touch, ...] = ()
        if arrival.report is None:
            before = live.touches.get(arrival.key, ())
            triggered = world.touches(before, arrival.event, arrival.data, facts.customer)
        found.append(Turn(arrival.key, triggered, arrival.report))
    noted = any(world.concerns(touch.campaign.key) for turn in found for touch in turn.touches)
    return found if noted or (world.compared and _any_live(world, live)) else []


def judge(
    world: World, taken: Sequence[Turn], facts: Facts, ledger: Ledger, live: Live, now: Instant, render: Render
) -> Iterator[Note]:
    """What the world decides about a customer's events, each beside what is live."""
    known = facts if world.policy is None else msgspec.structs.replace(facts, policy=world.policy)
    for turn in taken:
        if turn.report is not None:
            ledger = ledger.report(turn.report)
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
    world: World, judged: Judged, facts: Facts, lived: Mapping[str, Decision], now: Instant, render: Render
) -> Iterator[tuple[Planned, RenderError]]:
    """What would be sent here and cannot be rendered. What was rendered live, from the same content, is known to be."""
    for planned in judged.planned:
        campaign, live = planned.touch.campaign, lived.get(planned.message_id)
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
