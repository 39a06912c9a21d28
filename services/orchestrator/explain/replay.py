"""Replays a decision: evaluates it again on what is kept of its time, and compares the results.

The decision names the versions of the policy, the campaign and the preferences. Contacts, situations, do-not-contact
entries and holds come from their append-only histories. A decision carries the instant at which its batch began. Its
facts were read a moment later (or, when a recheck refused a message, a moment before). So a replay tries the facts as
they were around that instant, the nearest first, and reports the instant of those that lead to the same decision.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, TypeVar

from sqlalchemy import Row

from schemas.decision import Decision, to_document
from schemas.documents import DocumentError
from schemas.event import Event, decode_event
from schemas.own_events import read_stored_data
from schemas.reasons import Reason, reasons_with_role
from schemas.rule_registry import ReasonRole
from schemas.times import SECOND, Instant, format_instant
from schemas.vocabulary import CampaignStatus as Status
from schemas.vocabulary import Outcome
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.orchestrator.decisions import read_store as decision_store
from services.orchestrator.decisions import store
from services.orchestrator.decisions.evaluation import (
    REPLAY,
    REPLAY_TAKEN_BACK,
    EvaluationMode,
    EvaluationRequest,
    evaluate_customer,
)
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.decisions.stored_trigger import rebuild_triggered
from services.orchestrator.explain import as_of
from services.orchestrator.explain.decision_groups import DecisionGroup, DecisionKey, find_decision_group
from services.orchestrator.explain.wording import explain_decision, with_readable_times
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.fallback_progress import recorded_progress
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Contact, Ledger
from services.orchestrator.policy.match import Catalogue, match_campaigns

FACTS_TIME_TOLERANCE = 10 * SECOND
"""How far from a decision's time its facts may have been read: the fence waits at most 2 s in each service."""
MAX_TRIES = 4096
COMPARED_FIELDS = ("outcome", "reason", "rule_id", "until", "lost_to")
PROVIDER_REASONS = frozenset({Reason.PROVIDER_REJECTED, Reason.PROVIDER_EXHAUSTED, Reason.TRIAL_MODE})
"""Reasons that report a provider's answer, so no rule can give them again."""

NO_ADAPTER_REASONS = reasons_with_role(ReasonRole.NO_ADAPTER)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay. `same` is None where nothing can be compared; `unknown` holds the reasons.

    `decision` is the new decision, `facts_at` the instant of the facts that it was made on.
    """

    same: bool | None
    decision: Decision | None = None
    facts_at: Instant | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ReplayInput:
    """What the orchestrator keeps of an evaluation: its decisions, the event, the policy, campaigns and contacts.

    `campaigns`: the versions that decided, one mapping for each combination in which they may have been active.
    """

    group: DecisionGroup
    decisions: Mapping[str, Decision]
    event: Event
    policy: CompiledPolicy
    campaigns: Sequence[Mapping[str, CompiledCampaign]]
    ledger_rows: Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class _ContactState:
    """A ledger as it may have been. `first_planned`: when the messages were first planned."""

    ledger: Ledger
    first_planned: Instant | None
    mode: EvaluationMode


class Replayer:
    """Replays decisions."""

    def __init__(self, database: Database, facts_reader: FactsReader) -> None:
        self._database = database
        self._facts_reader = facts_reader

    async def replay(self, decision_id: int) -> ReplayResult:
        """Replay a decision. Raises NotFound for an unknown one, Transient while facts cannot be read."""
        async with self._database.read() as tx:
            stored = await decision_store.get_decision(tx, decision_id)
            if stored is None:
                raise NotFound(f"there is no decision {decision_id}")
            if stored.decision.reason in PROVIDER_REASONS:
                return ReplayResult(None, unknown=("this decision reports a provider's answer; no rule made it",))
            try:
                replay_input = await _load_input(tx, decision_id, stored.decision)
            except LookupError as error:
                return ReplayResult(None, unknown=(f"{error.args[0]} is no longer stored",))
            except DocumentError as error:
                return ReplayResult(None, unknown=(f"a document of that time can no longer be read: {error}",))
        return await self._try_facts(replay_input, stored.decision)

    async def replay_document(self, decision_id: int) -> dict[str, Any]:
        """The replay as outsiders see it. Raises NotFound and Transient."""
        result = await self.replay(decision_id)
        new_decision = result.decision
        return {
            "same": result.same,
            "facts_at": None if result.facts_at is None else format_instant(result.facts_at),
            "decision": None if new_decision is None else to_document(new_decision, "full"),
            "sentence": None if new_decision is None else with_readable_times(explain_decision(new_decision)),
            "unknown": list(result.unknown),
        }

    async def _try_facts(self, replay_input: _ReplayInput, decision: Decision) -> ReplayResult:
        time = decision.time
        preference, suppression = await self._facts_reader.read_past_facts(
            decision.customer, time - FACTS_TIME_TOLERANCE, time + FACTS_TIME_TOLERANCE, decision.preference_version
        )
        unknown = tuple(as_of.unknown_address_notes(suppression.unknown))
        center = sum(each.at <= time for each in suppression.facts) - 1
        states = [(time if index == center else each.at, each) for index, each in enumerate(suppression.facts)]
        sorted_states = _sort_by_distance(states, center)
        # Which facts and which ledger the evaluation read is not recorded exactly, so the candidates are tried, the
        # likeliest first; the first combination that gives the same decisions for the whole group ends the search.
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
    """Whether both have the same result. A message that could not be rendered had been allowed by the rules."""
    if stored.reason == Reason.RENDER_ERROR:
        return new_decision.outcome == Outcome.SEND
    return all(getattr(stored, name) == getattr(new_decision, name) for name in COMPARED_FIELDS)


async def _load_input(tx: Tx, decision_id: int, decision: Decision) -> _ReplayInput:
    """Load what is kept. Raises LookupError for what is gone, DocumentError for what cannot be read any more."""
    own = await _load_campaign(tx, decision, True)
    group = find_decision_group(
        await _list_decision_keys(tx, decision.customer), decision_id, own.sends_on_all_channels
    )
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


async def _list_decision_keys(tx: Tx, customer: str) -> list[DecisionKey]:
    rows = await decision_store.list_decision_keys(tx, customer)
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
    """The customer's ledgers as they may have been at this evaluation, the likeliest first.

    Rows of one instant are in order of writing, and the rows that this evaluation itself wrote are among them. So
    first without the rows of this and later evaluations of the same instant, then row by row.
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
    """A message that a recheck took back had a made contact of its own. It counts as planned in the evaluation."""
    claimed: list[Contact] = [each for each in ledger if each.message_id in own and each.state == "made"]
    for contact in claimed:
        ledger = ledger.set_contact_state(contact.message_id, "planned")
    return _ContactState(ledger, first_planned, REPLAY_TAKEN_BACK if claimed else REPLAY)


def _reevaluate(
    replay_input: _ReplayInput,
    facts: Facts,
    contacts: _ContactState,
    campaigns: Mapping[str, CompiledCampaign],
    time: Instant,
) -> dict[str, Decision]:
    event, data = replay_input.event, read_stored_data(replay_input.event)
    if replay_input.group.is_first:
        catalogue = Catalogue(campaigns, facts.policy, facts.configured_channels)
        found = match_campaigns(event, data, facts.customer_values, catalogue)
    else:
        (campaign,) = campaigns.values()
        channels = tuple(each.channel for each in replay_input.decisions.values())
        progress = recorded_progress(next(iter(replay_input.decisions.values())))
        first_planned = contacts.first_planned if progress is None else progress.first_planned
        found = [rebuild_triggered(event, data, campaign, channels, first_planned, progress)]
    request, base = EvaluationRequest(triggered_campaigns=tuple(found)), VersionedLedger(0, contacts.ledger)
    evaluation = evaluate_customer(event.subject, facts, [request], base, time, BEGINNING_OF_TIME, None, contacts.mode)
    return {decision.message_id: decision for decision in evaluation.decisions}


def _configured_channels(decisions: Iterable[Decision]) -> frozenset[str]:
    """The channels that had an adapter, as far as the decisions show it."""
    return frozenset(
        decision.channel
        for decision in decisions
        if not any(verdict.reason in NO_ADAPTER_REASONS for verdict in decision.verdicts)
    )


def _sort_by_distance(found: Sequence[T], center: int) -> list[T]:
    """The items in order of their distance from an index; of two equally far ones the later first."""
    order = sorted(range(len(found)), key=lambda index: (abs(index - center), -index))
    return [found[index] for index in order]
