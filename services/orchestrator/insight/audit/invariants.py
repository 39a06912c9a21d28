"""Finds the invariants that a handover violated, by the same rules that decided it, on recorded facts. Pure.

History does not always tell what the recheck read: clocks differ, and a fact that changed around the claim may have
been read before or after. So every possible state is evaluated, and only what all of them refuse is a violation.
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

    `ledger`: the contacts at its claim. `holds`: those certainly known then. `states` is empty if it is no longer known
    what was in force. `approved`: whether somebody other than the editor approved the version.
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
    found: dict[str, Refusal] = {}
    if not evidence.explained:
        found["unexplained_sent"] = Refusal("decision", None)
    if not evidence.approved:
        found["unapproved_sent"] = Refusal("approval", None)
    if evidence.accepted_before:
        found["duplicate_sent"] = Refusal("attempt", None)
    for refusal in sorted(find_refusals(evidence), key=str):
        found.setdefault(AUDIT_INVARIANTS[refusal.rule], refusal)
    policy = evidence.policies[0].version if evidence.policies else None
    handover = evidence.handover
    return [
        Violation(
            *(invariant, handover.message_id, handover.customer, refusal.rule),
            *(refusal.id or "", policy, handover.claimed_at),
        )
        for invariant, refusal in found.items()
    ]


def find_refusals(evidence: Evidence) -> frozenset[Refusal]:
    """Returns what refuses the handover in every possible state; empty as soon as one state allows it."""
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
