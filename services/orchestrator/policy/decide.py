"""A fold over ranked candidates: plan each, choose the channel -> decisions and the next ledger."""

from collections.abc import Sequence

import msgspec

from schemas.decision import Decision
from schemas.times import Instant
from schemas.vocabulary import Outcome, Reason
from services.orchestrator.policy import verdicts as say
from services.orchestrator.policy.candidate import Audience, candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact, Ledger, raw_id
from services.orchestrator.policy.match import Touch
from services.orchestrator.policy.plan import Parked, Plan, plan
from services.orchestrator.policy.rank import Rank, rank
from services.orchestrator.policy.rules import campaign as campaign_rule

_OPEN = (Outcome.SEND, Outcome.DEFER)


class Planned(msgspec.Struct, frozen=True):
    """A message that will be sent now, is planned for `until`, or is parked."""

    message_id: str
    channel: str
    touch: Touch
    outcome: Outcome
    until: Instant | None
    since: Instant | None
    expires_at: Instant
    parked: Parked | None


class Judged(msgspec.Struct, frozen=True):
    """What one judging gives: decisions in order of judging, the next ledger, what is planned and what no longer is."""

    decisions: tuple[Decision, ...]
    ledger: Ledger
    planned: tuple[Planned, ...]
    ended: tuple[str, ...]


class _Unit(msgspec.Struct, frozen=True):
    """What is judged at one turn: a choice among channels, or one message. `own`: its planned contacts."""

    touch: Touch
    channels: tuple[str, ...]
    own: tuple[Contact, ...]
    audience: Audience

    def rank(self) -> Rank:
        campaign = self.touch.campaign
        first = self.own[0].message_id if self.own else self.touch.message_id(self.channels[0])
        since = self.touch.first_planned(self.channels[0])
        return rank(campaign.cls, campaign.priority, since, campaign.key, raw_id(first))


def decide(
    touches: Sequence[Touch],
    facts: Facts,
    ledger: Ledger,
    now: Instant,
    *,
    delivered: bool = False,
    ahead: int = 0,
) -> Judged:
    """Judges touches of one customer in order of rank; each sees the contacts of those before it.

    Contacts that the touches had planned are released and planned anew. `delivered`: what is sent counts as made.
    `ahead`: microseconds by which a refusing entry may lie ahead and still count; `AHEAD` for what the gate stopped.
    """
    decisions: list[Decision] = []
    planned: list[Planned] = []
    ended: list[str] = []
    for unit in _in_order([unit for touch in touches for unit in _units(touch, facts, ledger)]):
        if unit.touch.broken:
            decisions += [_broken(unit, channel, facts, now) for channel in unit.channels]
            continue
        plans = _choose([_plan(unit, channel, facts, ledger, now, ahead) for channel in unit.channels])
        for contact in unit.own:
            ledger = ledger.release(contact.message_id)
        live = [each for each in plans if each.outcome in _OPEN]
        for each in live:
            planned.append(_planned(each, now))
            if each.parked is None:
                ledger = ledger.plan(_contact(each, now, delivered))
        decisions += [each.decision(facts, now) for each in plans]
        if unit.own:
            kept = {each.candidate.message_id for each in live}
            ended += [contact.message_id for contact in unit.own if contact.message_id not in kept]
    return Judged(tuple(decisions), ledger, tuple(planned), tuple(ended))


def in_order(touch: Touch, facts: Facts) -> tuple[str, ...]:
    """The touch's channels: the customer's order first, then the campaign's."""
    if not facts.preference.channel_order:
        return touch.channels
    wished = [channel for channel in facts.preference.channel_order if channel in touch.channels]
    return (*wished, *(channel for channel in touch.channels if channel not in wished))


def _units(touch: Touch, facts: Facts, ledger: Ledger) -> list[_Unit]:
    own = _own(touch, ledger)
    if own and touch.since is None:
        planned = {contact.kind.channel: contact.since for contact in own}
        touch = msgspec.structs.replace(touch, since=own[0].since, planned={**planned, **touch.planned})
    audience = Audience(touch, facts)
    channels = in_order(touch, facts)
    if not touch.campaign.together:
        return [_Unit(touch, channels, own, audience)]
    return [
        _Unit(touch, (channel,), tuple([each for each in own if each.kind.channel == channel]), audience)
        for channel in channels
    ]


def _in_order(units: list[_Unit]) -> list[_Unit]:
    return sorted(units, key=_Unit.rank) if len(units) > 1 else units


def _own(touch: Touch, ledger: Ledger) -> tuple[Contact, ...]:
    return tuple(
        [
            contact
            for contact in ledger.of_event(touch.event_hash)
            if contact.kind.campaign == touch.campaign.key
            and contact.state == "planned"
            and contact.message_id == touch.message_id(contact.kind.channel)
        ]
    )


def _plan(unit: _Unit, channel: str, facts: Facts, ledger: Ledger, now: Instant, ahead: int) -> Plan:
    return plan(candidate(unit.touch, channel, facts, ledger, unit.audience, ahead=ahead), facts, now)


def _choose(plans: Sequence[Plan]) -> Sequence[Plan]:
    """Keeps one of several: the first that may send now, else the earliest, else the first parked."""
    if len(plans) < 2:
        return plans
    open_ = [each for each in plans if each.outcome in _OPEN]
    if len(open_) < 2:
        return plans
    chosen = min(open_, key=_earliness)
    return [each if each is chosen or each.outcome not in _OPEN else each.as_other_channel() for each in plans]


def _earliness(each: Plan) -> tuple[int, Instant]:
    if each.outcome is Outcome.SEND:
        return 0, 0
    return (2, 0) if each.until is None else (1, each.until)


def _planned(each: Plan, now: Instant) -> Planned:
    touch, channel, since = each.candidate.touch, each.candidate.channel, each.candidate.since
    return Planned(
        message_id=touch.message_id(channel),
        channel=channel,
        touch=touch,
        outcome=each.outcome,
        until=each.until,
        since=now if since is None and each.parked is None else since,
        expires_at=touch.expires_at,
        parked=each.parked,
    )


def _contact(each: Plan, now: Instant, delivered: bool) -> Contact:
    candidate, touch, since = each.candidate, each.candidate.touch, each.candidate.since
    return Contact(
        message_id=candidate.message_id,
        event=touch.event_hash,
        kind=candidate.kind,
        priority=touch.campaign.priority,
        at=now if each.until is None else each.until,
        since=now if since is None else since,
        state="made" if delivered and each.outcome is Outcome.SEND else "planned",
    )


def _broken(unit: _Unit, channel: str, facts: Facts, now: Instant) -> Decision:
    """The trigger's condition could not be evaluated: a failure, whatever `fail_open` says."""
    verdict = say.fail(campaign_rule.NAME, trigger=unit.touch.campaign.document.trigger.when)
    found = candidate(unit.touch, channel, facts, Ledger.empty(), unit.audience)
    return Plan(found, Outcome.FAIL, Reason.POLICY_UNAVAILABLE.value, verdicts=(verdict,)).decision(facts, now)
