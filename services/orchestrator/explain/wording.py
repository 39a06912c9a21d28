"""Decisions in words, for `tactful why`, the HTTP API and the console. Pure.

Each rule declares how its reasons read (`schemas/rule_registry.py`); this module makes sentences of them. Instants are
RFC 3339 in UTC. No text names an address or the value of a trait.
"""

from schemas.decision import Decision, Verdict
from schemas.reasons import TITLES, Reason, find_declaration
from schemas.times import format_instant
from schemas.vocabulary import ASK_INTENTS, Outcome


def explain_decision(decision: Decision) -> str:
    """Why a message is or is not sent, with the values that decided."""
    if decision.outcome == Outcome.SEND:
        return "All rules allow it: the message may be sent now."
    if decision.reason == Reason.OTHER_CHANNEL:
        return f"It is not sent on {decision.channel}, because another channel of the campaign was chosen."
    verdict = decisive_verdict(decision)
    cause = explain_verdict(verdict) if verdict else _explain_without_verdict(decision)
    subject = "An ask" if decision.intent in ASK_INTENTS else "The message"
    earliest = decision.until if decision.outcome == Outcome.DEFER else decision.allowed_from
    match decision.outcome:
        case Outcome.FAIL:
            return f"{subject} failed: {cause}."
        case Outcome.DEFER if earliest is not None:
            return f"{subject} waits until {format_instant(earliest)}: {cause}."
        case Outcome.DEFER:
            return f"{subject} waits: {cause}."
    if earliest is not None:
        return f"{subject} is not allowed before {format_instant(earliest)}: {cause}."
    return f"{subject} is not allowed: {cause}."


def summarise_reason(decision: Decision) -> str:
    """The reason in a few words, with its values where the decisive verdict is kept: `Cap reached: 1 of 1`."""
    verdict = decisive_verdict(decision)
    declaration = None if verdict is None else find_declaration(verdict)
    if verdict is None or declaration is None or declaration.summarise is None:
        return TITLES[decision.reason]
    return declaration.summarise(verdict, decision.intent)


def decisive_verdict(decision: Decision) -> Verdict | None:
    """The verdict that gave the decision its reason; None when a later jump gave it, or no verdicts are kept."""
    for verdict in decision.verdicts:
        if verdict.verdict != "allow" and (verdict.reason, verdict.id) == (decision.reason, decision.rule_id):
            return verdict
    return None


def explain_verdict(verdict: Verdict) -> str:
    """Why a verdict refuses, as a clause; where the customer or an operator can change it, what has to change."""
    declaration = find_declaration(verdict)
    if declaration is None:
        return f"the rule {verdict.id or verdict.rule} refused it"
    return declaration.title.lower() if declaration.explain is None else declaration.explain(verdict)


def _explain_without_verdict(decision: Decision) -> str:
    title = TITLES[decision.reason].lower()
    if not decision.jumps:
        return title
    return f"{title} on {format_instant(decision.jumps[-1].at)}, the earliest instant at which the other rules allow it"
