"""The gate: the last run of the rules, after the contact was marked and on facts read after the mark."""

from schemas.decision import Decision
from schemas.times import Instant
from services.orchestrator.deciding.candidate import AHEAD, Audience, candidate
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.judge import judge
from services.orchestrator.deciding.ledger import Ledger
from services.orchestrator.deciding.match import Touch
from services.orchestrator.deciding.plan import plan


def at_gate(
    touch: Touch, channel: str, facts: Facts, ledger: Ledger, marked_at: Instant, now: Instant
) -> Decision | None:
    """None when the message may go, else the decision that stops it.

    Rules over contacts are judged for the time of the mark, on the ledger as it was then, and nothing merely planned
    counts; all others for `now`. A refusing entry that has been read counts even if it begins slightly later.
    """
    audience = Audience(touch, facts)
    marked = candidate(touch, channel, facts, ledger, audience, marked_at=marked_at, ahead=AHEAD)
    findings = judge(marked, facts, now)
    if findings.allow:
        return None
    planned = candidate(touch, channel, facts, ledger, audience, ahead=AHEAD)
    return plan(planned, facts, now, findings).decision(facts, now)
