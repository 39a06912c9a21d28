"""Explains what would be decided now, without changing anything."""

from schemas.decision import Decision, Verdict
from schemas.times import Instant
from services.orchestrator.policy import verdicts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign


def explain(triggered: TriggeredCampaign, facts: Facts, ledger: Ledger, now: Instant) -> list[Decision]:
    """Returns one decision per channel of the triggered campaign, with all verdicts and jumps."""
    return list(decide([triggered], facts, ledger, now).decisions)


def blocking_verdicts(decision: Decision) -> list[Verdict]:
    """Returns the verdicts that would have to change: those that do not allow, except shadow and fail-open ones."""
    return [
        verdict
        for verdict in decision.verdicts
        if verdict.verdict != verdicts.ALLOW and not ({"shadow", "fail_open"} & verdict.evidence.keys())
    ]
