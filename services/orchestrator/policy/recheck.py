"""Recheck: the last run of the rules, on facts read after the message was claimed."""

from schemas.decision import Decision
from schemas.permission import CLOCK_TOLERANCE
from schemas.times import MINUTE, Instant
from services.orchestrator.policy.candidate import AudienceCheck, build_candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.evaluate import RuleResults, evaluate_rules
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.plan import plan_candidate
from services.orchestrator.policy.rules.registry import NEEDS_FULL_RECHECK


def is_still_allowed(triggered: TriggeredCampaign, facts: Facts, t: Instant, now: Instant) -> bool:
    """Whether what was allowed at `t` is still allowed at `now` on the same facts, as far as the rules read the clock.

    It is if no minute boundary was passed (where quiet hours may begin), nothing that refuses has begun and nothing
    that allows has ended in between. Refusals count CLOCK_TOLERANCE early, as in the recheck itself. This shortcut
    saves re-evaluating most messages (docs/decisions, 0010). It is not taken while a
    rule declares `needs_full_recheck`.
    """
    if NEEDS_FULL_RECHECK:
        return False
    end, latest_start = triggered.campaign.end, now + CLOCK_TOLERANCE
    if not t <= now < triggered.expires_at or t // MINUTE != now // MINUTE or (end is not None and now >= end):
        return False
    for record in facts.preference.consent:
        if t < record.at <= latest_start or (record.expires is not None and t < record.expires <= now):
            return False
    for entry in facts.suppressions.entries:
        if t < entry.at <= latest_start:
            return False
    return not any(t < hold.start <= latest_start for hold in (*facts.holds, *facts.suppressions.holds))


def recheck_rules(
    triggered: TriggeredCampaign,
    channel: str,
    facts: Facts,
    ledger: Ledger,
    claimed_at: Instant,
    now: Instant,
    audience: AudienceCheck,
    clock_tolerance: int = 0,
) -> RuleResults:
    """Run all rules on a claimed message at `now`; those over contacts at the time and on the ledger of its claim.

    The recheck before a handover and the audit after it run the rules in this way.
    """
    candidate = build_candidate(
        triggered, channel, facts, ledger, audience, claimed_at=claimed_at, clock_tolerance=clock_tolerance
    )
    return evaluate_rules(candidate, facts, now)


def recheck_message(
    triggered: TriggeredCampaign, channel: str, facts: Facts, ledger: Ledger, claimed_at: Instant, now: Instant
) -> Decision | None:
    """Returns None if the message may be sent, otherwise the decision that stops it.

    Rules over contacts are evaluated for the time of the claim, on the ledger of that time, without planned contacts;
    all others for `now`. A refusing entry counts even if it begins slightly later.
    """
    audience = AudienceCheck(triggered, facts)
    results = recheck_rules(triggered, channel, facts, ledger, claimed_at, now, audience, CLOCK_TOLERANCE)
    if results.is_allowed:
        return None
    unclaimed_candidate = build_candidate(triggered, channel, facts, ledger, audience, clock_tolerance=CLOCK_TOLERANCE)
    return plan_candidate(unclaimed_candidate, facts, now, results).to_decision(facts, now)
