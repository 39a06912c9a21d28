"""Texts about a decision for the console pages: the answer in one sentence, then reason, evidence and codes. Pure.

Sentences come from explain/wording.py, the same that the API sends; here are headlines and short names.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup, escape

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.decision import Decision, Verdict
from schemas.facts import HoldFact
from schemas.reasons import TITLES
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.explain.wording import (
    decisive_verdict,
    describe_remedies,
    describe_verdict,
    explain_decision,
    explain_verdict,
    summarise_reason,
)
from services.orchestrator.policy.explain import blocking_verdicts, free_from

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "send": ("Sent", "circle-check"),
    "defer": ("Deferred", "clock-pause"),
    "suppress": ("Suppressed", "ban"),
    "fail": ("Failed", "alert-triangle"),
}
"""Word and icon of each outcome."""
CHANNELS: Mapping[str, tuple[str, str]] = {
    id: (channel.label, channel.icon) for id, channel in CHANNEL_REGISTRY.declarations.items()
}
"""Word and icon of each channel."""


def channel_label(channel: str) -> str:
    """The word for a channel, also for one on which other tools alone contact customers, such as `phone`."""
    return CHANNELS[channel][0] if channel in CHANNELS else channel.capitalize()


CHANNEL_PHRASES: Mapping[str, str] = {id: channel.in_sentence for id, channel in CHANNEL_REGISTRY.declarations.items()}
"""Each channel within a sentence."""
_INTENT_PHRASES: Mapping[str, str] = {
    "advertise": "advertising",
    "ask_feedback": "asks for feedback",
    "ask_review": "asks for a review",
    "ask_referral": "asks for a referral",
    "solicit_payment": "asks for payment",
    "win_back": "messages to former customers",
}
REASONS: Mapping[str, str] = TITLES
"""A few words for each reason."""
VERDICTS = {"allow": "allows", "defer": "defers", "deny": "denies", "fail": "could not be evaluated"}


class TraceLine(NamedTuple):
    """One rule of a trace: its verdict in words, and whether it was decisive."""

    rule: str
    id: str | None
    verdict: str
    summary: str
    evidence: Markup
    is_decisive: bool


def headline(decision: Decision, at: WallClock) -> str:
    """The answer above a trace."""
    short = summarise_reason(decision)
    match decision.outcome:
        case Outcome.SEND:
            return "Sent: all rules allowed it"
        case Outcome.DEFER if decision.until is not None:
            return f"Waits until {at.full(decision.until)}"
        case Outcome.DEFER:
            return f"Waits: {_lower_first(short)}"
        case Outcome.FAIL:
            return f"Failed: {_lower_first(short)}"
    if (free := free_from(decision)) is not None:
        return f"Not sent, allowed from {at.full(free)}"
    if decision.allowed_from is not None:
        return f"Not sent, and not before {at.full(decision.allowed_from)}"
    return f"Not sent: {_lower_first(short)}"


def answer_sentence(decision: Decision, who: str, at: WallClock) -> str:
    """The one sentence of the page that asks why: would this person get it now."""
    match decision.outcome:
        case Outcome.SEND:
            return f"Yes. {who} would get it now."
        case Outcome.DEFER if decision.until is not None:
            return f"Not now. {who} would get it on {at.full(decision.until)}."
        case Outcome.DEFER:
            return f"Not now. It would wait: {_lower_first(summarise_reason(decision))}."
        case Outcome.FAIL:
            return f"It would fail: {_lower_first(summarise_reason(decision))}."
    if (free := free_from(decision)) is not None:
        return f"No. {who} can get it from {at.full(free)}."
    if decision.allowed_from is not None:
        return f"No, and not before {at.full(decision.allowed_from)}."
    return f"No. {who} would not get it: {_lower_first(summarise_reason(decision))}."


def explanation_sentence(decision: Decision, at: WallClock) -> Markup:
    """The sentence under a headline: the API's, unless there is nothing to explain."""
    if decision.outcome == Outcome.SEND:
        return Markup("All {} rules allowed it.").format(len(decision.verdicts))
    return at.format_instants(explain_decision(decision))


def short_reason(decision: Decision, at: WallClock) -> Markup:
    """The reason in a few words, with the time it ends where it ends."""
    short = summarise_reason(decision)
    if decision.outcome == Outcome.DEFER and decision.until is not None:
        return Markup("{}, waits until {}").format(short, at.tag(decision.until, "brief"))
    if decision.outcome == Outcome.SUPPRESS and decision.allowed_from is not None:
        return Markup("{}, not before {}").format(short, at.tag(decision.allowed_from, "brief"))
    return escape(short)


def trace_lines(decision: Decision, at: WallClock) -> list[TraceLine]:
    """Every rule's verdict in the order of evaluation."""
    deciding = decisive_verdict(decision)
    return [_trace_line(verdict, decision.cls, verdict is deciding, at) for verdict in decision.verdicts]


def other_blocks(decision: Decision, at: WallClock) -> list[Markup]:
    """What else stands in the way beside that which decided, each with who can do what about it."""
    deciding = decisive_verdict(decision)
    blocks = [
        (explain_verdict(verdict), describe_remedies(verdict))
        for verdict in blocking_verdicts(decision)
        if verdict is not deciding
    ]
    return [at.format_instants(f"{why} ({remedy})" if remedy else why) for why, remedy in blocks]


def verdict_tally(decision: Decision) -> str:
    """`15 allow, 1 defers`."""
    counts = {name: sum(item.verdict == name for item in decision.verdicts) for name in VERDICTS}
    words = {
        "allow": ("allows", "allow"),
        "defer": ("defers", "defer"),
        "deny": ("denies", "deny"),
        "fail": ("fails", "fail"),
    }
    return ", ".join(f"{count} {words[name][count > 1]}" for name, count in counts.items() if count)


def describe_hold(hold: HoldFact, at: WallClock, lifted_at: Instant | None = None) -> str:
    """What a hold covers, since when and until when, who placed it and why. `lifted_at`: when it was lifted, if so."""
    scope = hold.scope
    parts = [
        *(sorted(map(channel_label, scope.channels)) if scope.channels else ()),
        *(sorted(scope.classes) if scope.classes else ()),
        *(_INTENT_PHRASES.get(name, f"messages that {name}") for name in sorted(scope.intents or ())),
        *(f"the topic {name}" for name in sorted(scope.topics or ())),
        *(f"the campaign {name}" for name in sorted(scope.campaigns or ())),
    ]
    what = ", ".join(parts) if parts else "all service and marketing messages"
    where = f" in {hold.region}" if hold.region else ""
    if hold.trait:
        traits = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(hold.trait.items())]
        where += f" for customers with {' and '.join(traits)}"
    last = hold.until if lifted_at is None else lifted_at
    end = f"until {at.moment(last)}" if last is not None else "until it is lifted"
    if last is not None and last <= at.now:
        begin, effect = "From", "were dropped" if hold.mode == "drop" else "waited"
    else:
        begin = "Since" if hold.start <= at.now else "From"
        effect = "are dropped" if hold.mode == "drop" else "wait"
    by = f" Placed by {hold.placed_by}: {hold.reason}." if hold.placed_by and hold.reason else ""
    return f"{begin} {at.moment(hold.start)}, {end}: {what}{where} {effect}.{by}"


def format_reference(canonical: str) -> str:
    """What a situation refers to: canonical JSON, a text without its quotation marks."""
    return canonical[1:-1] if canonical.startswith('"') and canonical.endswith('"') else canonical


def _trace_line(verdict: Verdict, cls: str, is_decisive: bool, at: WallClock) -> TraceLine:
    summary = VERDICTS[verdict.verdict]
    if verdict.verdict != "allow" and verdict.until is not None:
        summary += f" until {at.brief(verdict.until)}"
    if is_decisive:
        summary += " (decisive)"
    evidence = at.format_instants(describe_verdict(verdict, cls))
    return TraceLine(verdict.rule, verdict.id, verdict.verdict, summary, evidence, is_decisive)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
