"""The gate: the last run of the rules, after the contact was marked and on facts read after the mark."""

from schemas.decision import Decision
from schemas.times import MINUTE, Instant
from services.orchestrator.policy.candidate import CLOCK_TOLERANCE, AudienceCheck, build_candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.evaluate import evaluate_rules
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.plan import plan_candidate


def is_still_allowed(triggered: TriggeredCampaign, facts: Facts, t: Instant, now: Instant) -> bool:
    """Whether what was allowed at `t`, on these facts, is allowed at the gate `now`, by rules that read the clock.

    It is when no minute has passed (which might begin quiet hours), and nothing that refuses begins, and nothing that
    allows ends, in between; a refusal may lie a little ahead, as at the gate.
    """
    end, clock_tolerance = triggered.campaign.end, now + CLOCK_TOLERANCE
    if not t <= now < triggered.expires_at or t // MINUTE != now // MINUTE or (end is not None and now >= end):
        return False
    for record in facts.preference.consent:
        if t < record.at <= clock_tolerance or (record.expires is not None and t < record.expires <= now):
            return False
    for entry in facts.suppressions.entries:
        if t < entry.at <= clock_tolerance:
            return False
    return not any(t < hold.start <= clock_tolerance for hold in (*facts.holds, *facts.suppressions.holds))


def recheck_message(
    triggered: TriggeredCampaign, channel: str, facts: Facts, ledger: Ledger, claimed_at: Instant, now: Instant
) -> Decision | None:
    """None when the message may go, else the decision that stops it.

    Rules over contacts are judged for the time of the mark, on the ledger as it was then, and nothing merely planned
    counts; all others for `now`. A refusing entry that has been read counts even if it begins slightly later.
    """
    audience = AudienceCheck(triggered, facts)
    claimed_candidate = build_candidate(
        triggered, channel, facts, ledger, audience, claimed_at=claimed_at, clock_tolerance=CLOCK_TOLERANCE
    )
    results = evaluate_rules(claimed_candidate, facts, now)
    if results.is_allowed:
        return None
    unclaimed_candidate = build_candidate(triggered, channel, facts, ledger, audience, clock_tolerance=CLOCK_TOLERANCE)
    return plan_candidate(unclaimed_candidate, facts, now, results).to_decision(facts, now)
