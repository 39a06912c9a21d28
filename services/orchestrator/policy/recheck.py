"""The gate: the last run of the rules, after the contact was marked and on facts read after the mark."""

from schemas.decision import Decision
from schemas.times import MINUTE, Instant
from services.orchestrator.policy.candidate import AHEAD, Audience, candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.evaluate import judge
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Touch
from services.orchestrator.policy.plan import plan


def as_before(touch: Touch, facts: Facts, t: Instant, now: Instant) -> bool:
    """Whether what was allowed at `t`, on these facts, is allowed at the gate `now`, by rules that read the clock.

    It is when no minute has passed (which might begin quiet hours), and nothing that refuses begins, and nothing that
    allows ends, in between; a refusal may lie a little ahead, as at the gate.
    """
    end, ahead = touch.campaign.end, now + AHEAD
    if not t <= now < touch.expires_at or t // MINUTE != now // MINUTE or (end is not None and now >= end):
        return False
    for record in facts.preference.consent:
        if t < record.at <= ahead or (record.expires is not None and t < record.expires <= now):
            return False
    for entry in facts.suppressions.entries:
        if t < entry.at <= ahead:
            return False
    return not any(t < hold.start <= ahead for hold in (*facts.holds, *facts.suppressions.holds))


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
