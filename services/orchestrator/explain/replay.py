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
from schemas.event import Event, decode_event, parse_data
from schemas.reasons import Reason, reasons_with_role
from schemas.rule_registry import ReasonRole
from schemas.times import SECOND, Instant
from schemas.vocabulary import CampaignStatus as Status
from schemas.vocabulary import Outcome
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.orchestrator.decisions import read_store as decision_store
from services.orchestrator.decisions import store
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.explain import as_of
from services.orchestrator.explain.decision_groups import DecisionGroup, DecisionKey, find_decision_group
from services.orchestrator.policy.candidate import CLOCK_TOLERANCE
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign, match_campaigns

FACTS_TIME_TOLERANCE = 10 * SECOND
"""How far from a decision's time its facts may have been read: the fence waits for at most 2 s in each service."""
MAX_TRIES = 4096
COMPARED_FIELDS = ("outcome", "reason", "rule_id", "until", "lost_to")
PROVIDER_REASONS = frozenset({Reason.PROVIDER_REJECTED, Reason.PROVIDER_EXHAUSTED})
"""Reasons that tell what a provider answered: no rule gave them."""

NO_ADAPTER_REASONS = reasons_with_role(ReasonRole.NO_ADAPTER)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to. `same` None: it cannot be told, and `unknown` says why.

    `decision` is as judged again, `facts_at` the instant of the facts that it was judged on.
    """

    same: bool | None
    decision: Decision | None = None
    facts_at: Instant | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ReplayInput:
    """What the orchestrator kept of a judging: its decisions, the event, the policy, campaigns and contacts.

    `campaigns`: the versions that decided, one mapping for each way in which they may have stood (active or not).
    """

    group: DecisionGroup
    decisions: Mapping[str, Decision]
    event: Event
    policy: CompiledPolicy
    campaigns: Sequence[Mapping[str, CompiledCampaign]]
    ledger_rows: Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class _ContactState:
    """Contacts as they may have stood. `since`: when the messages were first planned; `ahead`: above 0 at the gate."""

    ledger: Ledger
    first_planned: Instant | None
    clock_tolerance: int


class Replayer:
    """Replays decisions."""

    def __init__(self, database: Database, facts_reader: FactsReader) -> None:
        self._database = database
        self._facts_reader = facts_reader

    async def replay(self, decision_id: int) -> ReplayResult:
        """Judge the decision again. Raises NotFound for an unknown one, Transient while facts cannot be had."""
        async with self._database.read() as tx:
            stored = await decision_store.get_decision(tx, decision_id)
            if stored is None:
                raise NotFound(f"there is no decision {decision_id}")
            if stored.decision.reason in PROVIDER_REASONS:
                return ReplayResult(None, unknown=("this line tells what a provider answered; no rule judged it",))
            try:
                replay_input = await _load_input(tx, decision_id, stored.decision)
            except LookupError as error:
                return ReplayResult(None, unknown=(f"{error.args[0]} is not kept any more",))
            except DocumentError as error:
                return ReplayResult(None, unknown=(f"a document of then cannot be read any more: {error}",))
        return await self._try_facts(replay_input, stored.decision)

    async def _try_facts(self, replay_input: _ReplayInput, decision: Decision) -> ReplayResult:
        time = decision.time
        preference, suppression = await self._facts_reader.read_past_facts(
            decision.customer, time - FACTS_TIME_TOLERANCE, time + FACTS_TIME_TOLERANCE, decision.preference_version
        )
        unknown = tuple(as_of.unknown_address_notes(suppression.unknown))
        center = sum(each.at <= time for each in suppression.facts) - 1
        states = [(time if index == center else each.at, each) for index, each in enumerate(suppression.facts)]
        sorted_states = _sort_by_distance(states, center)
        combinations = product(sorted_states, _contact_states(replay_input, time), replay_input.campaigns)
        first: Decision | None = None
        for (at, state), contacts, campaigns in islice(combinations, MAX_TRIES):
            facts = Facts(
                preference,
                state.customer,
                state.holds,
                replay_input.policy,
                _configured_channels(replay_input.decisions.values()),
            )
            result = _reevaluate(replay_input, facts, contacts, campaigns, time)
            new_decision = result.get(decision.message_id)
            if result.keys() == replay_input.decisions.keys() and all(
                decisions_agree(line, result[message]) for message, line in replay_input.decisions.items()
            ):
                return ReplayResult(True, new_decision, at, unknown)
            first = first or new_decision
        return ReplayResult(False, first, time, unknown)


def decisions_agree(stored: Decision, new_decision: Decision) -> bool:
    """Whether both say the same. What could not be rendered was allowed by the rules."""
    if stored.reason == Reason.RENDER_ERROR:
        return new_decision.outcome == Outcome.SEND
    return all(getattr(stored, name) == getattr(new_decision, name) for name in COMPARED_FIELDS)


async def _load_input(tx: Tx, decision_id: int, decision: Decision) -> _ReplayInput:
    """Raises LookupError for what is not kept any more, DocumentError for what cannot be read any more."""
    own = await _load_campaign(tx, decision, True)
    group = find_decision_group(await _list_decision_keys(tx, decision), decision_id, own.sends_on_all_channels)
    decisions: dict[str, Decision] = {}
    for id in group.decision_ids:
        stored = await decision_store.get_decision(tx, id)
        assert stored is not None
        decisions[stored.decision.message_id] = stored.decision
    key = (decision.customer, decision.event.source, decision.event.id)
    raw = (await store.load_events(tx, [key])).get(key)
    if raw is None:
        raise LookupError("the event")
    return _ReplayInput(
        group,
        decisions,
        decode_event(raw),
        await as_of.load_policy(tx, decision.policy_version),
        await _load_campaign_variants(tx, decisions.values(), decision.time),
        await store.load_contact_history(tx, decision.customer, decision.time + FACTS_TIME_TOLERANCE),
    )


async def _list_decision_keys(tx: Tx, decision: Decision) -> list[DecisionKey]:
    rows = await tx.rows(
        "SELECT decision_id, time, message_id, campaign, event_source, event_id, reason FROM decision "
        "WHERE customer = :customer ORDER BY decision_id",
        customer=decision.customer,
    )
    return [DecisionKey._make(row[:6]) for row in rows if row.reason not in PROVIDER_REASONS]


async def _load_campaign_variants(
    tx: Tx, decisions: Iterable[Decision], time: Instant
) -> list[Mapping[str, CompiledCampaign]]:
    by_campaign = {decision.campaign: decision for decision in decisions}
    changes = {key: await as_of.list_status_changes(tx, key) for key in by_campaign}
    found: dict[tuple[bool, ...], Mapping[str, CompiledCampaign]] = {}
    for at in (time, time - FACTS_TIME_TOLERANCE, time + FACTS_TIME_TOLERANCE):
        status_by_campaign = {key: as_of.status_at(changes[key], at) for key in by_campaign}
        active = {key: each is not None and each.status is Status.ACTIVE for key, each in status_by_campaign.items()}
        if tuple(active.values()) not in found:
            campaigns = {key: await _load_campaign(tx, by_campaign[key], active[key]) for key in by_campaign}
            found[tuple(active.values())] = campaigns
    return list(found.values())


async def _load_campaign(tx: Tx, decision: Decision, active: bool) -> CompiledCampaign:
    found = await as_of.load_campaign(tx, decision.campaign, decision.version, active)
    if found is None:
        raise LookupError(f"version {decision.version} of the campaign `{decision.campaign}`")
    return found


def _contact_states(replay_input: _ReplayInput, time: Instant) -> list[_ContactState]:
    """The customer's contacts as they may have stood when this was judged, the likeliest first.

    Rows of one instant are in order of writing, and what this judging itself wrote is among them: so first without
    what it and later judgings of the same instant wrote, then row by row.
    """
    group = replay_input.group
    hidden_messages = group.not_yet_decided | (group.message_ids if group.is_first else frozenset())
    rows = [row for row in replay_input.ledger_rows if row.message_id not in hidden_messages]
    results = group.message_ids | group.decided_later
    before = [row for row in rows if row.recorded < time or row.message_id not in results]
    found = [*_ledger_prefixes(before, group.message_ids, time), *_ledger_prefixes(rows, group.message_ids, time)]
    return list(dict.fromkeys(found))


def _ledger_prefixes(rows: Sequence[Row[Any]], own: frozenset[str], time: Instant) -> Iterator[_ContactState]:
    start = sum(row.recorded < time - FACTS_TIME_TOLERANCE for row in rows)
    ledger, first_planned = (
        as_of.build_ledger(rows[:start]),
        next((r.since for r in reversed(rows[:start]) if r.message_id in own), None),
    )
    found = [_to_contact_state(ledger, own, first_planned)]
    for row in rows[start:]:
        ledger = store.apply_history_row(ledger, row)
        first_planned = row.since if row.message_id in own else first_planned
        found.append(_to_contact_state(ledger, own, first_planned))
    yield from _sort_by_distance(found, sum(row.recorded <= time for row in rows) - start)


def _to_contact_state(ledger: Ledger, own: frozenset[str], first_planned: Instant | None) -> _ContactState:
    """At the gate the message's own contact is made; to be judged again it counts as planned."""
    claimed: list[Contact] = [each for each in ledger if each.message_id in own and each.state == "made"]
    for contact in claimed:
        ledger = ledger.set_contact_state(contact.message_id, "planned")
    return _ContactState(ledger, first_planned, CLOCK_TOLERANCE if claimed else 0)


def _reevaluate(
    replay_input: _ReplayInput,
    facts: Facts,
    contacts: _ContactState,
    campaigns: Mapping[str, CompiledCampaign],
    time: Instant,
) -> dict[str, Decision]:
    event, data = replay_input.event, parse_data(replay_input.event)
    if replay_input.group.is_first:
        catalogue = Catalogue(campaigns, facts.policy, facts.configured_channels)
        found = match_campaigns(event, data, facts.customer_values, catalogue)
    else:
        (campaign,) = campaigns.values()
        channels, first_planned = (
            tuple(each.channel for each in replay_input.decisions.values()),
            contacts.first_planned,
        )
        if campaign.sends_on_all_channels:
            planned = {} if first_planned is None else dict.fromkeys(channels, first_planned)
            found = [TriggeredCampaign(event, data, campaign, first_planned_by_channel=planned, channels=channels)]
        else:
            found = [TriggeredCampaign(event, data, campaign, first_planned=first_planned, channels=campaign.channels)]
    result = decide(found, facts, contacts.ledger, time, clock_tolerance=contacts.clock_tolerance)
    return {decision.message_id: decision for decision in result.decisions}


def _configured_channels(decisions: Iterable[Decision]) -> frozenset[str]:
    """The channels that could send: the decisions say so."""
    return frozenset(
        decision.channel
        for decision in decisions
        if not any(verdict.reason in NO_ADAPTER_REASONS for verdict in decision.verdicts)
    )


def _sort_by_distance(found: Sequence[T], center: int) -> list[T]:
    """The items in order of their distance from a place, of two equally far ones the later first."""
    order = sorted(range(len(found)), key=lambda index: (abs(index - center), -index))
    return [found[index] for index in order]
