"""Decisions in words, for `tactful why`, the HTTP API and the console. Pure.

Each rule declares how its verdicts read and who can do what about them (`schemas/rule_registry.py`); this module makes
sentences of it. Instants in these texts are RFC 3339 in UTC: the console puts them on a wall clock, and
`with_readable_times` spells them out. No text names an address or the value of a trait.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from schemas.condition_words import SENDER_OF_DATA
from schemas.decision import Decision, Verdict, to_document
from schemas.finding import Finding
from schemas.reasons import CHANNEL_CHOICE, TITLES, Reason, find_declaration
from schemas.rule_registry import RULE_REGISTRY
from schemas.times import describe_instant, format_instant, parse_instant
from schemas.vocabulary import ASK_INTENTS, Outcome
from schemas.words import channel_words, join_words
from services.orchestrator.policy.explain import blocking_verdicts

_TRIED: Final = {
    "under_way": "is on its way",
    "handed_over": "nobody has confirmed",
    "confirmed": "has arrived",
    "ended": "does not arrive",
}
"""What became of a channel that was tried before: services.orchestrator.policy.fallback_progress.TriedState."""
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def explain_decision(decision: Decision) -> str:
    """Why a message is or is not sent, with the values that decided."""
    if decision.outcome == Outcome.SEND:
        return "All rules allow it: the message may be sent now."
    if decision.reason == Reason.OTHER_CHANNEL:
        channel, verdict = channel_words(decision.channel), decisive_verdict(decision)
        cause = "another channel of the campaign was chosen" if verdict is None else explain_verdict(verdict)
        return f"It is not sent by {channel}, because {cause}."
    verdict = decisive_verdict(decision)
    if decision.failure is not None:
        cause = f"the content could not be rendered: {_describe_finding(decision.failure)}"
    else:
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
    """Why a verdict refuses, as a clause."""
    declaration = find_declaration(verdict)
    if declaration is None:
        return f"the rule {verdict.id or verdict.rule} refused it"
    return declaration.title.lower() if declaration.explain is None else declaration.explain(verdict)


def describe_verdict(verdict: Verdict, cls: str) -> str:
    """A verdict on a message of a class in words, with what the rule saw, whether it allows or not."""
    if verdict.verdict == "allow":
        if verdict.rule == CHANNEL_CHOICE:
            return _describe_tried(verdict)
        rule = RULE_REGISTRY.declarations.get(verdict.rule)
        if rule is not None and cls not in rule.classes:
            return f"it does not concern {cls} messages"
        return "it has no objection" if rule is None or rule.explain_allow is None else rule.explain_allow(verdict)
    text = explain_verdict(verdict)
    if "shadow" in verdict.evidence:
        return f"in shadow, has no effect: {text}"
    return f"{text}; it may be sent all the same (fail_open)" if "fail_open" in verdict.evidence else text


def _describe_tried(verdict: Verdict) -> str:
    tried = verdict.evidence["tried"].items()
    return "it follows " + join_words([f"{channel_words(id)}, which {_TRIED[each['state']]}" for id, each in tried])


def list_changes(decision: Decision) -> list[str]:
    """What somebody can change so that the message may be sent, with who can: an entry for each verdict that stops it.

    A verdict that nobody can change has none. Of those that only pass with time, the one that lasts longest is named.
    """
    blocking = blocking_verdicts(decision)
    waits = {verdict.until for verdict in blocking if verdict.until is not None and not _list_remedies(verdict)}
    changes = [
        _describe_change(verdict)
        for verdict in blocking
        if verdict.until not in waits or verdict.until == max(waits) or _list_remedies(verdict)
    ]
    if decision.failure is not None:
        changes.append(_describe_content_change(decision.failure))
    return list(dict.fromkeys(change for change in changes if change))


def describe_remedies(verdict: Verdict) -> str:
    """Who can do what about a verdict, apart from waiting; empty if nobody can."""
    ways = _list_remedies(verdict)
    return join_words(ways, "or") if ways else ""


def suggest_remedy(decision: Decision) -> str:
    """Who can do what about that which decided, apart from waiting; empty if nobody can."""
    if decision.failure is not None:
        return _describe_content_change(decision.failure)
    verdict = decisive_verdict(decision)
    return "" if verdict is None else describe_remedies(verdict)


def _describe_change(verdict: Verdict) -> str:
    ways = _list_remedies(verdict)
    if verdict.until is not None:
        ways.append(f"wait until {format_instant(verdict.until)}")
    return join_words(ways, "or") if ways else ""


def _list_remedies(verdict: Verdict) -> list[str]:
    declaration = find_declaration(verdict)
    remedies = () if declaration is None or declaration.remedies is None else declaration.remedies(verdict)
    return [str(remedy) for remedy in remedies]


def _describe_content_change(failure: Finding) -> str:
    edit = "a marketer changes the content"
    if failure.variable is None:
        return edit
    value = "a value" if failure.expected is None or failure.found == "nothing" else failure.expected
    return f"{SENDER_OF_DATA} sends {value} for `{failure.variable}` or {edit}"


def _describe_finding(finding: Finding) -> str:
    return f"{finding.detail} (in {finding.pointer})" if finding.pointer else finding.detail


def explained_document(decision: Decision) -> dict[str, Any]:
    """The public form of a decision with its full trace, with `words` at each verdict, and its sentence."""
    document = to_document(decision, "full")
    return {
        **document,
        "verdicts": describe_verdicts(decision),
        "sentence": with_readable_times(explain_decision(decision)),
    }


def describe_verdicts(decision: Decision) -> list[dict[str, Any]]:
    """The public form of all verdicts, each with its `words`."""
    documents: Sequence[dict[str, Any]] = to_document(decision, "full")["verdicts"]
    return [
        {**document, "words": with_readable_times(describe_verdict(verdict, decision.cls))}
        for document, verdict in zip(documents, decision.verdicts, strict=True)
    ]


def with_readable_times(text: str) -> str:
    """The text with its instants spelt out: `3 May 2026, 14:00 UTC`."""
    return _INSTANT.sub(lambda found: describe_instant(parse_instant(found[0])), text)


def _explain_without_verdict(decision: Decision) -> str:
    title = TITLES[decision.reason].lower()
    if not decision.jumps:
        return title
    return f"{title} on {format_instant(decision.jumps[-1].at)}, the earliest instant at which the other rules allow it"
