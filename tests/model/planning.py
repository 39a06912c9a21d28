"""All rules at one instant, the earliest instant for one candidate, and the choice among channels."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model import contacts, rules
from tests.model.people import Document, Situation
from tests.model.rules import FOREVER, Candidate, Refusal

TABLE = (
    *("campaign", "audience", "reentry", "expiry", "address", "suppression", "consent"),
    *("quarantine", "opt_out"),
    *("contact_history", "hold", "frequency_cap", "min_gap", "quiet_hours", "arbitration", "holdout", "channel"),
)
JUMPS = 64


@dataclass
class Speaking:
    """What every judgement sees besides its customer."""

    policy: Document
    stops: list[Document]
    by_address: list[Document]


@dataclass
class Plan:
    """What one candidate may do. kind: send, defer, park, deny or fail."""

    kind: str
    reason: str
    rule_id: str | None = None
    until: int | None = None
    lost_to: str | None = None
    situations: tuple[Situation, ...] = ()


def refusals(candidate: Candidate, speaking: Speaking, at: int) -> list[Refusal]:
    """What all rules say against the instant, in the order of the table."""
    policy = speaking.policy
    found = [
        *rules.campaign_rule(candidate, at),
        *rules.audience_rule(candidate, policy),
        *contacts.reentry_rule(candidate, at),
        *rules.expiry_rule(candidate, at),
        *rules.address_rules(candidate, speaking.by_address, at),
        *rules.consent_rule(candidate, at),
        *rules.quarantine_rule(candidate, at),
        *rules.opt_out_rule(candidate, policy, at),
        *contacts.history_rule(candidate, policy, at),
        *rules.hold_rule(candidate, speaking.stops, at),
        *contacts.cap_rule(candidate, policy, at),
        *contacts.gap_rule(candidate, policy, at),
        *rules.quiet_rule(candidate, policy, at),
        *rules.holdout_rule(candidate, policy),
    ]
    return sorted(found, key=lambda each: TABLE.index(each.row))


def plan(candidate: Candidate, speaking: Speaking, now: int) -> Plan:
    """The earliest instant that no rule refuses, by jumping to the latest `until` and judging again."""
    at, last = now, Plan("send", "eligible")
    for _ in range(JUMPS + 1):
        found = refusals(candidate, speaking, at)
        for kind in ("deny", "fail"):
            for each in found:
                if each.kind == kind:
                    return Plan(kind, each.reason, each.rule_id, lost_to=each.lost_to)
        parks = [each for each in found if each.kind == "park"]
        if parks:
            situations = tuple(each.situation for each in parks if each.situation is not None)
            return Plan("park", parks[0].reason, parks[0].rule_id, situations=situations)
        if not found:
            return last
        at = max(each.until for each in found)
        deciding = next(each for each in found if each.until == at)
        last = Plan("defer", deciding.reason, deciding.rule_id, at)
    return Plan("fail", "policy_unavailable")


def chosen(plans: dict[str, Plan]) -> str | None:
    """Of a choice's channels, in order: the first that may send now, else the earliest, parked last."""

    def waiting(channel: str) -> int:
        found = plans[channel]
        return {"send": -FOREVER, "park": FOREVER}.get(found.kind, found.until or 0)

    able = [each for each in plans if plans[each].kind in ("send", "defer", "park")]
    return min(able, key=waiting, default=None)
