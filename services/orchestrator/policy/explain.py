"""Which verdicts of a decision stand in the way of its message."""

from schemas.decision import Decision, Verdict
from services.orchestrator.policy import verdicts


def blocking_verdicts(decision: Decision) -> list[Verdict]:
    """Returns the verdicts that would have to change: those that do not allow, except shadow and fail-open ones."""
    return [
        verdict
        for verdict in decision.verdicts
        if verdict.verdict != verdicts.ALLOW and not ({"shadow", "fail_open"} & verdict.evidence.keys())
    ]
