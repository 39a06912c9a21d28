"""Predicts what lifting a hold would send, by evaluating the messages that wait because of it as if it were gone.

Each message is evaluated twice. `now`: at this instant, by itself, without caps and gaps. `after_caps`: at its turn of
the release, by every rule, after what was released to the same customer before it. Other holds stay in force. Nothing
is rendered and nothing is written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.reasons import Reason, reasons_with_role
from schemas.rule_registry import ReasonRole
from schemas.service_api import DecisionCount, HoldPlan, HoldPlanSample
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions.evaluation import (
    LIVE,
    RELEASE_PLAN,
    EvaluationMode,
    EvaluationRequest,
    evaluate_customer,
)
from services.orchestrator.decisions.evaluator import EvaluationInput, Evaluator
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.decisions.stored_trigger import StoredMessage
from services.orchestrator.holds import store
from services.orchestrator.holds.release import release_turns
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign

MAX_MESSAGES = 10_000
"""At most so many messages are evaluated."""
CUSTOMER_BATCH = 200
"""Customers whose facts are read at once."""
EXPIRY_REASONS = reasons_with_role(ReasonRole.EXPIRED)
SAMPLE_SIZE = 3
"""Messages that are shown for each outcome and reason."""


class WaitingMessage(NamedTuple):
    """A message that waits, and when its turn would be."""

    message: StoredMessage
    turn: Instant


@dataclass(slots=True)
class PlanTotals:
    """Counts and samples of the messages that have been evaluated so far."""

    now: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    after_caps: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    sample_counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    sample: list[HoldPlanSample] = field(default_factory=list)

    def count_message(self, waiting_message: WaitingMessage, unconstrained: Decision, released: Decision) -> None:
        """Count a message by both of its decisions."""
        self.now[_tally_key(unconstrained)] += 1
        self.after_caps[_tally_key(released)] += 1
        self.sample_counts[released.outcome, released.reason] += 1
        if self.sample_counts[released.outcome, released.reason] <= SAMPLE_SIZE:
            self.sample.append(
                HoldPlanSample(
                    waiting_message.message.message_id, *_tally_key(released), waiting_message.turn, released.until
                )
            )


@dataclass(frozen=True, slots=True)
class HoldPlanner:
    """Makes plans for lifting holds."""

    database: Database
    evaluator: Evaluator
    clock: Clock

    async def plan_release(self, key: str, rate: int) -> HoldPlan:
        """Predict what lifting the hold now would send, released at `rate` messages a second. Raises Transient."""
        now = self.clock.now()
        async with self.database.read() as tx:
            waiting = await store.count_waiting(tx, key)
            messages = await store.load_waiting(tx, key, MAX_MESSAGES)
        turn_times, _ = release_turns(len(messages), rate, now, now)
        by_customer: dict[str, list[WaitingMessage]] = {}
        for waiting_message in map(WaitingMessage, messages, turn_times):
            by_customer.setdefault(waiting_message.message.customer, []).append(waiting_message)
        totals, customers = PlanTotals(), list(by_customer)
        catalogue = await self.evaluator.read_catalogue()
        for start in range(0, len(customers), CUSTOMER_BATCH):
            batch = {name: by_customer[name] for name in customers[start : start + CUSTOMER_BATCH]}
            await self._evaluate_batch(batch, key, now, catalogue, totals)
        return HoldPlan(
            at=now,
            waiting=waiting,
            judged=len(messages),
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
        now: Instant,
        catalogue: Catalogue,
        totals: PlanTotals,
    ) -> None:
        event_keys = [item.message.event_key for items in batch.values() for item in items]
        inputs = await self.evaluator.read_for_messages(batch, event_keys, now, catalogue=catalogue)
        policy_without_caps = _without_caps(inputs.catalogue.policy)
        for customer, items in batch.items():
            triggered = [
                (item, self.evaluator.rebuild_triggered(inputs, item.message))
                for item in items
                if item.message.event_key in inputs.events  # else the customer has just been erased
            ]
            triggered = await self._with_progress(triggered)
            facts = _without_hold(inputs.facts[customer], key)
            _evaluate_both_ways(triggered, facts, policy_without_caps, inputs, now, totals)

    async def _with_progress(
        self, messages: Sequence[tuple[WaitingMessage, TriggeredCampaign]]
    ) -> list[tuple[WaitingMessage, TriggeredCampaign]]:
        """The messages, those of campaigns that fall back with what became of the channels that were tried before."""
        choices = [(triggered, {item.message.message_id: ""}) for item, triggered in messages if triggered.falls_back]
        if not choices:
            return list(messages)
        async with self.database.read() as tx:
            requests = iter(await self.evaluator.requests_of_choices(tx, choices))
        return [
            (item, next(requests).triggered_campaigns[0] if triggered.falls_back else triggered)
            for item, triggered in messages
        ]


def _evaluate_both_ways(
    triggered_messages: Sequence[tuple[WaitingMessage, TriggeredCampaign]],
    facts: Facts,
    policy_without_caps: CompiledPolicy,
    inputs: EvaluationInput,
    now: Instant,
    totals: PlanTotals,
) -> None:
    """Evaluate one customer's messages both ways."""
    no_frequency_wish = msgspec.structs.replace(facts.preference, frequency=None)
    unconstrained = Facts(
        no_frequency_wish, facts.suppressions, facts.holds, policy_without_caps, facts.configured_channels
    )
    base = ledger_at_turn = inputs.ledger_of(facts.preference.customer)

    def evaluate(
        item: WaitingMessage,
        triggered: TriggeredCampaign,
        known: Facts,
        ledger: VersionedLedger,
        at: Instant,
        mode: EvaluationMode,
    ) -> tuple[Decision, VersionedLedger]:
        request = EvaluationRequest(triggered_campaigns=(triggered,))
        evaluation = evaluate_customer(
            item.message.customer, known, [request], ledger, at, inputs.complete_since, None, mode
        )
        decision = _final_decision(evaluation.decisions, item.message.message_id)
        return decision, VersionedLedger(ledger.version, evaluation.ledger)

    for item, triggered in triggered_messages:
        decided_now, _ = evaluate(item, triggered, unconstrained, base, now, LIVE)
        decided_at_turn, ledger_at_turn = evaluate(item, triggered, facts, ledger_at_turn, item.turn, RELEASE_PLAN)
        totals.count_message(item, decided_now, decided_at_turn)


def _final_decision(decisions: Sequence[Decision], message_id: str) -> Decision:
    """What becomes of a message: where a campaign chooses among channels, the decision about the chosen channel."""
    chosen = [
        decision
        for decision in decisions
        if decision.outcome in (Outcome.SEND, Outcome.DEFER) and decision.reason != Reason.FALLBACK_WAIT
    ]
    own = [decision for decision in decisions if decision.message_id == message_id]
    return (chosen or own or decisions)[0]


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
    """The counts, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(DecisionCount(*tally_key, messages) for tally_key, messages in ordered)
