"""Why, or why not: the decisions that a judging would make, with nothing changed."""

from schemas.decision import Decision, Verdict
from schemas.times import Instant
from services.orchestrator.policy import verdicts as verdicts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign


def explain(triggered: TriggeredCampaign, facts: Facts, ledger: Ledger, now: Instant) -> list[Decision]:
    """One decision for each channel of the touch, with all verdicts and jumps."""
    return list(decide([triggered], facts, ledger, now).decisions)


def blocking_verdicts(decision: Decision) -> list[Verdict]:
    """What would have to change: the verdicts that do not allow and are not merely watched."""
    return [
        verdict
        for verdict in decision.verdicts
        if verdict.verdict != verdicts.ALLOW and not ({"shadow", "fail_open"} & verdict.evidence.keys())
    ]
