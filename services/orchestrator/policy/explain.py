"""Which verdicts of a decision stand in the way of its message, and until when."""

from schemas.decision import Decision, Verdict
from schemas.times import Instant
from services.orchestrator.policy import verdicts


def blocking_verdicts(decision: Decision) -> list[Verdict]:
    """Returns the verdicts that would have to change: those that do not allow, except shadow and fail-open ones."""
    return [
        verdict
        for verdict in decision.verdicts
        if verdict.verdict != verdicts.ALLOW and not ({"shadow", "fail_open"} & verdict.evidence.keys())
    ]


def free_from(decision: Decision) -> Instant | None:
    """The instant from which nothing stands in the way any more, as far as is known; None without a known end.

    `allowed_from` speaks of the rules that denied the message, and a hold may go on after it.
    """
    if decision.until is not None or decision.allowed_from is None:
        return decision.until
    latest = decision.allowed_from
    for verdict in blocking_verdicts(decision):
        if verdict.until is None:
            return None
        latest = max(latest, verdict.until)
    return latest
