"""Decides about a customer's triggered campaigns: candidates in order of rank, each planned on the contacts of those
before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from schemas.decision import Decision
from schemas.reasons import Reason
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.policy import verdicts
from services.orchestrator.policy.candidate import AudienceCheck, build_candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.fallback_choice import choose_with_fallback
from services.orchestrator.policy.ledger import Contact, Ledger, message_id_bytes
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.plan import OPEN_OUTCOMES, CandidatePlan, ParkedUntil, earliest_plan, plan_candidate
from services.orchestrator.policy.rank import Rank, make_rank
from services.orchestrator.policy.rules.registry import TRIGGER_RULE
from services.orchestrator.policy.steps import Steps, finish


class PlannedMessage(msgspec.Struct, frozen=True):
    """A message that will be sent now, is planned for `until`, or is parked.

    `woken_by`: of a campaign that falls back, the messages whose confirmation or end has it evaluated before that; its
    own where there is none.
    """

    message_id: str
    channel: str
    triggered: TriggeredCampaign
    outcome: Outcome
    until: Instant | None
    first_planned: Instant | None
    expires_at: Instant
    parked: ParkedUntil | None
    woken_by: tuple[str, ...] = ()


class DecideResult(msgspec.Struct, frozen=True):
    """The result of `decide`: decisions in order of evaluation, the new ledger, planned messages, and ids no longer
    planned.
    """

    decisions: tuple[Decision, ...]
    ledger: Ledger
    planned: tuple[PlannedMessage, ...]
    ended_message_ids: tuple[str, ...]


class _EvaluationUnit(msgspec.Struct, frozen=True):
    """What is evaluated together: a choice among channels, or one message. `own_contacts`: its planned contacts."""

    triggered: TriggeredCampaign
    channels: tuple[str, ...]
    own_contacts: tuple[Contact, ...]
    audience: AudienceCheck

    def rank(self) -> Rank:
        campaign = self.triggered.campaign
        first = self.own_contacts[0].message_id if self.own_contacts else self.triggered.message_id(self.channels[0])
        first_planned = self.triggered.first_planned_on(self.channels[0])
        return make_rank(campaign.cls, campaign.priority, first_planned, campaign.key, message_id_bytes(first))


def decide(
    triggered_campaigns: Sequence[TriggeredCampaign],
    facts: Facts,
    ledger: Ledger,
    now: Instant,
    *,
    count_sent_as_made: bool = False,
    clock_tolerance: int = 0,
) -> DecideResult:
    """Decides about triggered campaigns of one customer in order of rank; each sees the contacts of those before it.

    Planned contacts of these campaigns are released and planned anew.
    `count_sent_as_made`: sent messages count as made at once.
    `clock_tolerance` (microseconds): a refusing entry counts this long before it begins; see CLOCK_TOLERANCE.
    """
    return finish(
        decide_in_steps(
            triggered_campaigns,
            facts,
            ledger,
            now,
            count_sent_as_made=count_sent_as_made,
            clock_tolerance=clock_tolerance,
        )
    )


def decide_in_steps(
    triggered_campaigns: Sequence[TriggeredCampaign],
    facts: Facts,
    ledger: Ledger,
    now: Instant,
    *,
    count_sent_as_made: bool = False,
    clock_tolerance: int = 0,
) -> Steps[DecideResult]:
    """Like `decide`; a step is what is evaluated together: a choice among channels, or one message."""
    decisions: list[Decision] = []
    planned: list[PlannedMessage] = []
    ended_message_ids: list[str] = []
    for unit in _sort_by_rank(
        [unit for triggered in triggered_campaigns for unit in _evaluation_units(triggered, facts, ledger)]
    ):
        if decisions:
            yield
        if (failure := unit.triggered.condition_failure) is not None:
            decisions += [_condition_failure(unit, channel, facts, now, failure) for channel in unit.channels]
            continue
        plans: Sequence[CandidatePlan] = [
            _plan_channel(unit, channel, facts, ledger, now, clock_tolerance) for channel in unit.channels
        ]
        falls_back = unit.triggered.falls_back
        if falls_back:
            plans = choose_with_fallback(plans, unit.triggered, now)
        else:
            plans = _choose_channel(plans)
        for contact in unit.own_contacts:
            ledger = ledger.release(contact.message_id)
        open_plans = [each for each in plans if each.outcome in OPEN_OUTCOMES]
        # Seniority belongs to the event and the campaign: what waits for a planned channel has it as well.
        is_planned = falls_back and any(each.parked is None for each in open_plans)
        for each in open_plans:
            planned.append(_planned_message(each, now, is_planned))
            if each.parked is None:
                ledger = ledger.put_contact(_planned_contact(each, now, count_sent_as_made))
        decisions += [each.to_decision(facts, now) for each in plans]
        if unit.own_contacts:
            kept_ids = {each.candidate.message_id for each in open_plans}
            ended_message_ids += [
                contact.message_id for contact in unit.own_contacts if contact.message_id not in kept_ids
            ]
    return DecideResult(tuple(decisions), ledger, tuple(planned), tuple(ended_message_ids))


def order_channels(triggered: TriggeredCampaign, facts: Facts) -> tuple[str, ...]:
    """Returns the campaign's channels in the customer's order of preference, then in the campaign's order."""
    if not facts.preference.channel_order:
        return triggered.channels
    preferred = [channel for channel in facts.preference.channel_order if channel in triggered.channels]
    return (*preferred, *(channel for channel in triggered.channels if channel not in preferred))


def _evaluation_units(triggered: TriggeredCampaign, facts: Facts, ledger: Ledger) -> list[_EvaluationUnit]:
    own_contacts = _own_contacts(triggered, ledger)
    if own_contacts and triggered.first_planned is None:
        planned = {contact.attributes.channel: contact.first_planned for contact in own_contacts}
        triggered = msgspec.structs.replace(
            triggered,
            first_planned=own_contacts[0].first_planned,
            first_planned_by_channel={**planned, **triggered.first_planned_by_channel},
        )
    audience = AudienceCheck(triggered, facts)
    channels = order_channels(triggered, facts)
    if triggered.progress is not None:
        tried = triggered.progress.tried
        own_contacts = tuple([each for each in own_contacts if each.attributes.channel not in tried])
        channels = tuple([channel for channel in channels if channel not in tried])
        if not channels:
            return []
    if not triggered.campaign.sends_on_all_channels:
        return [_EvaluationUnit(triggered, channels, own_contacts, audience)]
    return [
        _EvaluationUnit(
            triggered,
            (channel,),
            tuple([each for each in own_contacts if each.attributes.channel == channel]),
            audience,
        )
        for channel in channels
    ]


def _sort_by_rank(units: list[_EvaluationUnit]) -> list[_EvaluationUnit]:
    return sorted(units, key=_EvaluationUnit.rank) if len(units) > 1 else units


def _own_contacts(triggered: TriggeredCampaign, ledger: Ledger) -> tuple[Contact, ...]:
    return tuple(
        [
            contact
            for contact in ledger.contacts_of_event(triggered.event_hash)
            if contact.attributes.campaign == triggered.campaign.key
            and contact.state == "planned"
            and contact.message_id == triggered.message_id(contact.attributes.channel)
        ]
    )


def _plan_channel(
    unit: _EvaluationUnit, channel: str, facts: Facts, ledger: Ledger, now: Instant, clock_tolerance: int
) -> CandidatePlan:
    return plan_candidate(
        build_candidate(unit.triggered, channel, facts, ledger, unit.audience, clock_tolerance=clock_tolerance),
        facts,
        now,
    )


def _choose_channel(plans: Sequence[CandidatePlan]) -> Sequence[CandidatePlan]:
    """Keeps one of several plans: the first that may send now, else the earliest deferred, else the first parked."""
    if len(plans) < 2:
        return plans
    open_plans = [each for each in plans if each.outcome in OPEN_OUTCOMES]
    if len(open_plans) < 2:
        return plans
    chosen = earliest_plan(open_plans)
    return [each if each is chosen or each.outcome not in OPEN_OUTCOMES else each.as_other_channel() for each in plans]


def _planned_message(each: CandidatePlan, now: Instant, is_planned: bool) -> PlannedMessage:
    triggered, channel, first_planned = each.candidate.triggered, each.candidate.channel, each.candidate.first_planned
    return PlannedMessage(
        message_id=triggered.message_id(channel),
        channel=channel,
        triggered=triggered,
        outcome=each.outcome,
        until=each.until,
        first_planned=now if first_planned is None and (is_planned or each.parked is None) else first_planned,
        expires_at=triggered.expires_at,
        parked=each.parked,
        woken_by=tuple([triggered.message_id(other) for other in each.woken_by]) if each.woken_by else (),
    )


def _planned_contact(each: CandidatePlan, now: Instant, count_sent_as_made: bool) -> Contact:
    candidate, triggered, first_planned = each.candidate, each.candidate.triggered, each.candidate.first_planned
    return Contact(
        message_id=candidate.message_id,
        event_hash=triggered.event_hash,
        attributes=candidate.attributes,
        priority=triggered.campaign.priority,
        at=now if each.until is None else each.until,
        first_planned=now if first_planned is None else first_planned,
        state="made" if count_sent_as_made and each.outcome is Outcome.SEND else "planned",
    )


def _condition_failure(
    unit: _EvaluationUnit, channel: str, facts: Facts, now: Instant, failure: Mapping[str, Any]
) -> Decision:
    """Builds the decision for a trigger condition that could not be evaluated: a failure, even for fail-open
    campaigns.
    """
    verdict = verdicts.fail(TRIGGER_RULE, trigger=unit.triggered.campaign.document.trigger.when, **failure)
    candidate = build_candidate(unit.triggered, channel, facts, Ledger.empty(), unit.audience)
    return CandidatePlan(candidate, Outcome.FAIL, Reason.POLICY_UNAVAILABLE.value, verdicts=(verdict,)).to_decision(
        facts, now
    )
