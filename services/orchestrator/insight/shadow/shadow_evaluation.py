"""Evaluates live events again for each shadow variant, with the functions that decide, and compares. Pure.

Facts and ledgers are those of the live decisions. A customer's events in one batch build on one another within a
variant; the next batch starts from the live ledger again. Only observations leave this module: contacts are not stored,
and rendered content is dropped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from schemas.decision import Decision
from schemas.event import Event
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.decisions.evaluation import CustomerEvaluation, RenderMessage, as_render_failure
from services.orchestrator.decisions.store import EventKey
from services.orchestrator.insight.shadow.observations import ShadowObservation
from services.orchestrator.insight.shadow.variants import ShadowVariant
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import DecideResult, PlannedMessage, decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.template import RenderError


class NewEvent(Protocol):
    """A new event, or the contact that it reports."""

    @property
    def event(self) -> Event: ...

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def reported_contact(self) -> Contact | None: ...

    @property
    def key(self) -> EventKey: ...


@dataclass(frozen=True, slots=True)
class LiveResults:
    """What the live versions decided about one customer's events: by event, what it triggered and the decisions."""

    triggered: Mapping[EventKey, tuple[TriggeredCampaign, ...]]
    decisions: Mapping[EventKey, Mapping[str, Decision]]

    @staticmethod
    def from_evaluation(evaluation: CustomerEvaluation | None) -> "LiveResults":
        """Builds it from the customer's evaluation; None means nothing was triggered."""
        if evaluation is None:
            return _NO_LIVE_RESULTS
        decisions: dict[EventKey, dict[str, Decision]] = {}
        for each in evaluation.decisions:
            key = each.customer, each.event.source, each.event.id
            decisions.setdefault(key, {})[each.message_id] = each
        triggered: dict[EventKey, tuple[TriggeredCampaign, ...]] = {}
        for request in evaluation.requests:
            for triggered_campaign in request.triggered_campaigns[:1]:
                triggered[
                    triggered_campaign.event.subject, triggered_campaign.event.source, triggered_campaign.event.id
                ] = request.triggered_campaigns
        return LiveResults(triggered, decisions)


_NO_LIVE_RESULTS = LiveResults({}, {})


class EventStep(NamedTuple):
    """One event for one variant: what it triggers there, or the contact that it reports."""

    key: EventKey
    triggered: tuple[TriggeredCampaign, ...]
    reported_contact: Contact | None


def build_steps(
    variant: ShadowVariant, new_events: Sequence[NewEvent], facts: Facts, live: LiveResults
) -> list[EventStep]:
    """Returns the steps of a customer's events for a variant, in order; empty if nothing of it would be observed."""
    steps = []
    for new_event in new_events:
        triggered: tuple[TriggeredCampaign, ...] = ()
        if new_event.reported_contact is None:
            live_triggered = live.triggered.get(new_event.key, ())
            triggered = variant.match_triggered(live_triggered, new_event.event, new_event.data, facts.customer_values)
        steps.append(EventStep(new_event.key, triggered, new_event.reported_contact))
    is_covered = any(
        variant.covers(triggered_campaign.campaign.key) for step in steps for triggered_campaign in step.triggered
    )
    return steps if is_covered or (variant.has_live and _has_live_decisions(variant, live)) else []


def evaluate_variant(
    variant: ShadowVariant,
    steps: Sequence[EventStep],
    facts: Facts,
    ledger: Ledger,
    live: LiveResults,
    now: Instant,
    render: RenderMessage,
) -> Iterator[ShadowObservation]:
    """Returns what the variant decides about a customer's events, each beside the live decision."""
    variant_facts = facts if variant.policy is None else msgspec.structs.replace(facts, policy=variant.policy)
    for step in steps:
        if step.reported_contact is not None:
            ledger = ledger.put_reported_contact(step.reported_contact)
            continue
        live_decisions = _covered_decisions(variant, live.decisions.get(step.key, {}))
        result = decide(step.triggered, variant_facts, ledger, now)
        decisions = _covered_decisions(variant, {decision.message_id: decision for decision in result.decisions})
        ledger = result.ledger
        for planned, error in _find_render_failures(variant, result, variant_facts, live_decisions, now, render):
            decisions[planned.message_id] = as_render_failure(decisions[planned.message_id], error)
            ledger = ledger.release(planned.message_id)
        if not variant.has_live:
            live_decisions = {}
        for message in {**decisions, **live_decisions}:
            yield ShadowObservation(
                variant.shadow, decisions.get(message), live_decisions.get(message), variant.has_live
            )


def _has_live_decisions(variant: ShadowVariant, live: LiveResults) -> bool:
    return any(variant.covers(each.campaign) for decisions in live.decisions.values() for each in decisions.values())


def _covered_decisions(variant: ShadowVariant, decisions: Mapping[str, Decision]) -> dict[str, Decision]:
    return {message: each for message, each in decisions.items() if variant.covers(each.campaign)}


def _find_render_failures(
    variant: ShadowVariant,
    result: DecideResult,
    facts: Facts,
    live_decisions: Mapping[str, Decision],
    now: Instant,
    render: RenderMessage,
) -> Iterator[tuple[PlannedMessage, RenderError]]:
    """Finds messages the variant would send that cannot be rendered. Content already rendered live is not rendered
    again.
    """
    for planned in result.planned:
        campaign, live = planned.triggered.campaign, live_decisions.get(planned.message_id)
        if planned.outcome is not Outcome.SEND or not variant.covers(campaign.key):
            continue
        if live is not None and (live.version, live.outcome) == (campaign.version, Outcome.SEND):
            continue
        try:
            render(planned, facts, now)
        except RenderError as error:
            yield planned, error
