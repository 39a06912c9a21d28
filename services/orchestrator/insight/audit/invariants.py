"""Finds the invariants that a handover violated, by the same rules that decided it, on recorded facts. Pure.

The history does not show which of two states the recheck read when a fact changed around the claim: clocks differ, and
the read may have come before or after the change. So every possible state is evaluated, and only what all of them
refuse is a violation: a missed violation is preferred to a false alarm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Final, NamedTuple

from schemas.facts import HoldFact, Preference, Suppressions
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.insight.audit.store import AuditedHandover, Violation
from services.orchestrator.policy.candidate import AudienceCheck
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.recheck import recheck_rules
from services.orchestrator.policy.rules.registry import AUDIT_INVARIANTS

MAX_STATES = 256
ALL_CHANNELS: Final = frozenset(CHANNELS)


class PossibleState(NamedTuple):
    """One possible state of facts and versions at the recheck."""

    policy: CompiledPolicy
    triggered: TriggeredCampaign
    preference: Preference
    suppressions: Suppressions


@dataclass(frozen=True, slots=True)
class Evidence:
    """The recorded evidence about a handover.

    `ledger`: the contacts at its claim. `holds`: those certainly known then. `policies` and `triggered` are empty if
    it is no longer known what was in force. `approved`: whether a second person approved the version.
    """

    handover: AuditedHandover
    explained: bool
    approved: bool
    accepted_before: bool
    ledger: Ledger
    holds: tuple[HoldFact, ...] = ()
    policies: Sequence[CompiledPolicy] = ()
    triggered: Sequence[TriggeredCampaign] = ()
    possible_facts: Sequence[tuple[Preference, Suppressions]] = ()


class Refusal(NamedTuple):
    """A rule that refused the handover, and the id of the policy entry."""

    rule: str
    id: str | None


def find_violations(evidence: Evidence) -> list[Violation]:
    """Returns the invariants that the handover certainly violated, each once."""
    by_invariant: dict[str, Refusal] = {}
    if not evidence.explained:
        by_invariant["unexplained_sent"] = Refusal("decision", None)
    if not evidence.approved:
        by_invariant["unapproved_sent"] = Refusal("approval", None)
    if evidence.accepted_before:
        by_invariant["duplicate_sent"] = Refusal("attempt", None)
    for refusal in sorted(find_refusals(evidence), key=str):
        by_invariant.setdefault(AUDIT_INVARIANTS[refusal.rule], refusal)
    policy = evidence.policies[0].version if evidence.policies else None
    handover = evidence.handover
    return [
        Violation(
            *(invariant, handover.message_id, handover.customer, refusal.rule),
            *(refusal.id or "", policy, handover.claimed_at),
        )
        for invariant, refusal in by_invariant.items()
    ]


def find_refusals(evidence: Evidence) -> frozenset[Refusal]:
    """Returns what refuses the handover in every possible state; empty as soon as one state allows it."""
    # A recheck evaluates at one instant between claim and end, so a refusal must hold at both ends in every state.
    # With too many states to evaluate nothing is proved, and nothing is reported.
    remaining: frozenset[Refusal] | None = None
    for count, state in enumerate(islice(_possible_states(evidence), MAX_STATES + 1)):
        if count == MAX_STATES:
            return frozenset()
        facts = Facts(state.preference, state.suppressions, evidence.holds, state.policy, ALL_CHANNELS)
        for instant in (evidence.handover.claimed_at, evidence.handover.closed_at):
            refusals_now = _refusals_at(evidence, state.triggered, facts, instant)
            remaining = refusals_now if remaining is None else remaining & refusals_now
            if not remaining:
                return frozenset()
    return remaining or frozenset()


def _possible_states(evidence: Evidence) -> Iterator[PossibleState]:
    for policy, triggered, (preference, suppressions) in product(
        evidence.policies, evidence.triggered, evidence.possible_facts
    ):
        yield PossibleState(policy, triggered, preference, suppressions)


def _refusals_at(evidence: Evidence, triggered: TriggeredCampaign, facts: Facts, t: Instant) -> frozenset[Refusal]:
    handover = evidence.handover
    audience = AudienceCheck(triggered, facts)
    results = recheck_rules(triggered, handover.channel, facts, evidence.ledger, handover.claimed_at, t, audience)
    return frozenset(
        Refusal(verdict.rule, verdict.id)
        for verdict in (*results.denies, *results.defers)
        if verdict.rule in AUDIT_INVARIANTS
    )
