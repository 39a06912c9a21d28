"""What lifting a hold would send: who waits because of it is judged as if it were gone. Nothing changes.

`now`: all at this instant, each by itself, without caps and gaps. `after_caps`: each at its turn of the release, by
every rule, after what was released to the same customer before it. Other holds stay. Nothing is rendered.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from schemas.decision import Decision
from schemas.reasons import reasons_with_role
from schemas.rule_registry import ReasonRole
from schemas.times import Instant
from services.clients.orchestrator import DecisionCount, HoldPlan, HoldPlanSample
from services.kit.bus.fence import read_applied_offsets
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import store
from services.orchestrator.decisions.commit import ledger_or_empty
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.stored_trigger import decode_triggered
from services.orchestrator.holds import store as hold_store
from services.orchestrator.holds.release import release_turns
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import DecideResult, decide
from services.orchestrator.policy.horizon import look_back_start
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign

MAX_MESSAGES = 10_000
"""Messages that are judged at most."""
CUSTOMER_BATCH = 200
"""Customers whose facts are asked for at once."""
EXPIRY_REASONS = reasons_with_role(ReasonRole.EXPIRED)
SAMPLE_SIZE = 3
"""Messages that are shown of each outcome and reason."""


class WaitingMessage(NamedTuple):
    """A message that waits, and when its turn would be."""

    row: Row[Any]
    turn: Instant


@dataclass(slots=True)
class PlanTotals:
    """What has been judged so far."""

    now: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    after_caps: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    sample_counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    sample: list[HoldPlanSample] = field(default_factory=list)

    def count_message(self, waiting_message: WaitingMessage, unconstrained: Decision, released: Decision) -> None:
        """A message has been judged both ways."""
        self.now[_tally_key(unconstrained)] += 1
        self.after_caps[_tally_key(released)] += 1
        self.sample_counts[released.outcome, released.reason] += 1
        if self.sample_counts[released.outcome, released.reason] <= SAMPLE_SIZE:
            self.sample.append(
                HoldPlanSample(
                    waiting_message.row.message_id, *_tally_key(released), waiting_message.turn, released.until
                )
            )


@dataclass(frozen=True, slots=True)
class HoldPlanner:
    """What plans are made with."""

    database: Database
    snapshot: CatalogueSnapshot
    facts_reader: FactsReader
    clock: Clock

    async def plan_release(self, key: str, rate: int) -> HoldPlan:
        """What lifting the hold now, with a release at `rate` messages a second, would do. Raises Transient."""
        now = self.clock.now()
        async with self.database.read() as tx:
            catalogue = await self.snapshot.get_catalogue(tx)
            waiting = await hold_store.count_waiting(tx, key)
            rows = await hold_store.load_waiting(tx, key, MAX_MESSAGES)
        turn_times, _ = release_turns(len(rows), rate, now, now)
        by_customer: dict[str, list[WaitingMessage]] = {}
        for waiting_message in map(WaitingMessage, rows, turn_times):
            by_customer.setdefault(waiting_message.row.customer, []).append(waiting_message)
        totals, customers = PlanTotals(), list(by_customer)
        for start in range(0, len(customers), CUSTOMER_BATCH):
            batch = {name: by_customer[name] for name in customers[start : start + CUSTOMER_BATCH]}
            await self._evaluate_batch(batch, key, catalogue, now, totals)
        return HoldPlan(
            at=now,
            waiting=waiting,
            judged=len(rows),
            seconds=max(0, -(-waiting // rate) - 1),
            expired=sum(count for tally_key, count in totals.after_caps.items() if tally_key[-1] in EXPIRY_REASONS),
            now=_tallies(totals.now),
            after_caps=_tallies(totals.after_caps),
            sample=tuple(sorted(totals.sample, key=lambda item: (item.turn, item.message_id))),
        )

    async def _evaluate_batch(
        self,
        batch: Mapping[str, Sequence[WaitingMessage]],
        key: str,
        catalogue: Catalogue,
        now: Instant,
        totals: PlanTotals,
    ) -> None:
        complete_since = look_back_start(catalogue.policy, catalogue.campaigns.values(), now)
        event_keys = [
            (waiting_message.row.customer, waiting_message.row.event_source, waiting_message.row.event_id)
            for waiting_messages in batch.values()
            for waiting_message in waiting_messages
        ]
        async with self.database.read() as tx:
            positions = await read_applied_offsets(tx)
            events = await store.load_events(tx, event_keys)
            ledgers = await store.load_ledgers(tx, list(batch), complete_since)
        facts = await self.facts_reader.read_facts(list(batch), catalogue, positions)
        policy_without_caps = _without_caps(catalogue.policy)
        for customer, waiting_messages in batch.items():
            facts_without_hold = _without_hold(facts[customer], key)
            ledger = ledger_or_empty(ledgers, customer).ledger
            triggered_messages = [
                (waiting_message, self._build_triggered(waiting_message.row, events, catalogue))
                for waiting_message in waiting_messages
            ]
            _evaluate_both_ways(triggered_messages, facts_without_hold, policy_without_caps, ledger, now, totals)

    def _build_triggered(
        self, row: Row[Any], events: Mapping[store.EventKey, bytes], catalogue: Catalogue
    ) -> TriggeredCampaign:
        event = events[row.customer, row.event_source, row.event_id]
        return decode_triggered(event, row.campaign, row.channel, row.since, catalogue, self.snapshot)


def _evaluate_both_ways(
    triggered_messages: Sequence[tuple[WaitingMessage, TriggeredCampaign]],
    facts: Facts,
    policy_without_caps: CompiledPolicy,
    ledger: Ledger,
    now: Instant,
    totals: PlanTotals,
) -> None:
    """Judge one customer's messages both ways."""
    no_frequency_wish = msgspec.structs.replace(facts.preference, frequency=None)
    unconstrained, ledger_at_turn = (
        Facts(no_frequency_wish, facts.suppressions, facts.holds, policy_without_caps, facts.configured_channels),
        ledger,
    )
    for waiting_message, triggered in triggered_messages:
        decided_now = decide([triggered], unconstrained, ledger, now)
        decided_at_turn = decide([triggered], facts, ledger_at_turn, waiting_message.turn, count_sent_as_made=True)
        ledger_at_turn = decided_at_turn.ledger
        message = waiting_message.row.message_id
        totals.count_message(
            waiting_message, _final_decision(decided_now, message), _final_decision(decided_at_turn, message)
        )


def _final_decision(judged: DecideResult, message_id: str) -> Decision:
    """What becomes of a message: of a choice, the decision about the channel that is chosen."""
    decisions = {decision.message_id: decision for decision in judged.decisions}
    chosen = judged.planned[0].message_id if judged.planned else message_id
    return decisions.get(chosen, judged.decisions[0])


def _without_hold(facts: Facts, key: str) -> Facts:
    """The facts as if the hold were gone."""
    holds = tuple(hold for hold in facts.holds if hold.key != key)
    return Facts(facts.preference, facts.suppressions, holds, facts.policy, facts.configured_channels)


def _without_caps(policy: CompiledPolicy) -> CompiledPolicy:
    """The policy without caps and gaps."""
    return compile_policy(policy.document.model_copy(update={"frequency_caps": (), "min_gaps": ()}), policy.version)


def _tally_key(decision: Decision) -> tuple[str, str, str, str]:
    return decision.campaign, decision.channel, decision.outcome, decision.reason


def _tallies(counts: Counter[tuple[str, str, str, str]]) -> tuple[DecisionCount, ...]:
    """The largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(DecisionCount(*tally_key, messages) for tally_key, messages in ordered)
