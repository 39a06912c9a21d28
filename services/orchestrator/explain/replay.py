"""Judge a decision again from what was kept of its time, and say whether it comes out the same.

The versions of the policy, the campaign and the preferences stand in the decision. Contacts, situations, entries and
holds come from their append-only histories. A decision carries the instant at which its batch began; its facts were
read a moment later (or, when the gate stopped a message, a moment before), so a replay tries the facts as they stood
around that instant, the nearest first, and names the instant of those that agree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, TypeVar

from sqlalchemy import Row

from schemas.decision import Decision
from schemas.documents import DocumentError
from schemas.event import Event, data_of, decode_structured
from schemas.times import SECOND, Instant
from schemas.vocabulary import CampaignStatus as Status
from schemas.vocabulary import Outcome, Reason
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.orchestrator.decisions import read_store as asked
from services.orchestrator.decisions import store
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.explain import as_of
from services.orchestrator.explain.decision_groups import Judging, Line, judging_of
from services.orchestrator.policy.candidate import AHEAD
from services.orchestrator.policy.compiled_campaign import Campaign
from services.orchestrator.policy.compiled_policy import Policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import Catalogue, Touch, touches
from services.orchestrator.policy.rules import channel as channel_rule

AROUND = 10 * SECOND
"""How far from a decision's time its facts may have been read: the fence waits for at most 2 s in each service."""
MOST_TRIES = 4096
COMPARED = ("outcome", "reason", "rule_id", "until", "lost_to")
UNJUDGED = frozenset({Reason.PROVIDER_REJECTED, Reason.PROVIDER_EXHAUSTED})
"""Reasons that tell what a provider answered: no rule gave them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to. `same` None: it cannot be told, and `unknown` says why.

    `decision` is as judged again, `facts_at` the instant of the facts that it was judged on.
    """

    same: bool | None
    decision: Decision | None = None
    facts_at: Instant | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Then:
    """What the orchestrator kept of a judging: its decisions, the event, the policy, campaigns and contacts.

    `campaigns`: the versions that decided, one mapping for each way in which they may have stood (active or not).
    """

    judging: Judging
    decisions: Mapping[str, Decision]
    event: Event
    policy: Policy
    campaigns: Sequence[Mapping[str, Campaign]]
    rows: Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class _Contacts:
    """Contacts as they may have stood. `since`: when the messages were first planned; `ahead`: above 0 at the gate."""

    ledger: Ledger
    since: Instant | None
    ahead: int


class Replayer:
    """Replays decisions."""

    def __init__(self, database: Database, gatherer: Gatherer) -> None:
        self._database = database
        self._gatherer = gatherer

    async def replay(self, decision_id: int) -> Replayed:
        """Judge the decision again. Raises NotFound for an unknown one, Transient while facts cannot be had."""
        async with self._database.read() as tx:
            kept = await asked.decision(tx, decision_id)
            if kept is None:
                raise NotFound(f"there is no decision {decision_id}")
            if kept.decision.reason in UNJUDGED:
                return Replayed(None, unknown=("this line tells what a provider answered; no rule judged it",))
            try:
                then = await _then(tx, decision_id, kept.decision)
            except LookupError as error:
                return Replayed(None, unknown=(f"{error.args[0]} is not kept any more",))
            except DocumentError as error:
                return Replayed(None, unknown=(f"a document of then cannot be read any more: {error}",))
        return await self._tried(then, kept.decision)

    async def _tried(self, then: _Then, decision: Decision) -> Replayed:
        time = decision.time
        preference, known = await self._gatherer.facts_at(
            decision.customer, time - AROUND, time + AROUND, decision.preference_version
        )
        unknown = tuple(as_of.unknown_addresses(known.unknown))
        place = sum(each.at <= time for each in known.facts) - 1
        states = [(time if index == place else each.at, each) for index, each in enumerate(known.facts)]
        near = _nearest(states, place)
        tries = product(near, _contacts(then, time), then.campaigns)
        first: Decision | None = None
        for (at, state), contacts, campaigns in islice(tries, MOST_TRIES):
            facts = Facts(preference, state.customer, state.holds, then.policy, _configured(then.decisions.values()))
            judged = _judged(then, facts, contacts, campaigns, time)
            again = judged.get(decision.message_id)
            if judged.keys() == then.decisions.keys() and all(
                agree(line, judged[message]) for message, line in then.decisions.items()
            ):
                return Replayed(True, again, at, unknown)
            first = first or again
        return Replayed(False, first, time, unknown)


def agree(kept: Decision, again: Decision) -> bool:
    """Whether both say the same. What could not be rendered was allowed by the rules."""
    if kept.reason == Reason.RENDER_ERROR:
        return again.outcome == Outcome.SEND
    return all(getattr(kept, name) == getattr(again, name) for name in COMPARED)


async def _then(tx: Tx, decision_id: int, decision: Decision) -> _Then:
    """Raises LookupError for what is not kept any more, DocumentError for what cannot be read any more."""
    own = await _campaign(tx, decision, True)
    judging = judging_of(await _lines(tx, decision), decision_id, own.together)
    decisions: dict[str, Decision] = {}
    for id in judging.ids:
        kept = await asked.decision(tx, id)
        assert kept is not None
        decisions[kept.decision.message_id] = kept.decision
    key = (decision.customer, decision.event.source, decision.event.id)
    raw = (await store.stored_events(tx, [key])).get(key)
    if raw is None:
        raise LookupError("the event")
    return _Then(
        judging,
        decisions,
        decode_structured(raw),
        await as_of.policy_of(tx, decision.policy_version),
        await _campaigns(tx, decisions.values(), decision.time),
        await store.contact_rows(tx, decision.customer, decision.time + AROUND),
    )


async def _lines(tx: Tx, decision: Decision) -> list[Line]:
    rows = await tx.rows(
        "SELECT decision_id, time, message_id, campaign, event_source, event_id, reason FROM decision "
        "WHERE customer = :customer ORDER BY decision_id",
        customer=decision.customer,
    )
    return [Line._make(row[:6]) for row in rows if row.reason not in UNJUDGED]


async def _campaigns(tx: Tx, decisions: Iterable[Decision], time: Instant) -> list[Mapping[str, Campaign]]:
    of = {decision.campaign: decision for decision in decisions}
    changes = {key: await as_of.stood(tx, key) for key in of}
    found: dict[tuple[bool, ...], Mapping[str, Campaign]] = {}
    for at in (time, time - AROUND, time + AROUND):
        stood = {key: as_of.standing(changes[key], at) for key in of}
        active = {key: each is not None and each.status is Status.ACTIVE for key, each in stood.items()}
        if tuple(active.values()) not in found:
            campaigns = {key: await _campaign(tx, of[key], active[key]) for key in of}
            found[tuple(active.values())] = campaigns
    return list(found.values())


async def _campaign(tx: Tx, decision: Decision, active: bool) -> Campaign:
    found = await as_of.campaign_of(tx, decision.campaign, decision.version, active)
    if found is None:
        raise LookupError(f"version {decision.version} of the campaign `{decision.campaign}`")
    return found


def _contacts(then: _Then, time: Instant) -> list[_Contacts]:
    """The customer's contacts as they may have stood when this was judged, the likeliest first.

    Rows of one instant are in order of writing, and what this judging itself wrote is among them: so first without
    what it and later judgings of the same instant wrote, then row by row.
    """
    judging = then.judging
    hidden = judging.unborn | (judging.messages if judging.fresh else frozenset())
    rows = [row for row in then.rows if row.message_id not in hidden]
    results = judging.messages | judging.pending
    before = [row for row in rows if row.recorded < time or row.message_id not in results]
    found = [*_prefixes(before, judging.messages, time), *_prefixes(rows, judging.messages, time)]
    return list(dict.fromkeys(found))


def _prefixes(rows: Sequence[Row[Any]], own: frozenset[str], time: Instant) -> Iterator[_Contacts]:
    least = sum(row.recorded < time - AROUND for row in rows)
    ledger, since = (
        as_of.folded(rows[:least]),
        next((r.since for r in reversed(rows[:least]) if r.message_id in own), None),
    )
    found = [_seen(ledger, own, since)]
    for row in rows[least:]:
        ledger = store.learned(ledger, row)
        since = row.since if row.message_id in own else since
        found.append(_seen(ledger, own, since))
    yield from _nearest(found, sum(row.recorded <= time for row in rows) - least)


def _seen(ledger: Ledger, own: frozenset[str], since: Instant | None) -> _Contacts:
    """At the gate the message's own contact is made; to be judged again it counts as planned."""
    marked: list[Contact] = [each for each in ledger if each.message_id in own and each.state == "made"]
    for contact in marked:
        ledger = ledger.settle(contact.message_id, "planned")
    return _Contacts(ledger, since, AHEAD if marked else 0)


def _judged(
    then: _Then, facts: Facts, contacts: _Contacts, campaigns: Mapping[str, Campaign], time: Instant
) -> dict[str, Decision]:
    event, data = then.event, data_of(then.event)
    if then.judging.fresh:
        catalogue = Catalogue(campaigns, facts.policy, facts.configured)
        found = touches(event, data, facts.customer, catalogue)
    else:
        (campaign,) = campaigns.values()
        channels, since = tuple(each.channel for each in then.decisions.values()), contacts.since
        if campaign.together:
            planned = {} if since is None else dict.fromkeys(channels, since)
            found = [Touch(event, data, campaign, planned=planned, channels=channels)]
        else:
            found = [Touch(event, data, campaign, since=since, channels=campaign.channels)]
    judged = decide(found, facts, contacts.ledger, time, ahead=contacts.ahead)
    return {decision.message_id: decision for decision in judged.decisions}


def _configured(decisions: Iterable[Decision]) -> frozenset[str]:
    """The channels that could send: the decisions say so."""
    return frozenset(
        decision.channel
        for decision in decisions
        if not any(verdict.rule == channel_rule.NAME and verdict.verdict == "deny" for verdict in decision.verdicts)
    )


def _nearest(found: Sequence[T], place: int) -> list[T]:
    """The items in order of their distance from a place, of two equally far ones the later first."""
    order = sorted(range(len(found)), key=lambda index: (abs(index - place), -index))
    return [found[index] for index in order]
