"""What a customer's situations forbid, and until when: `no asks until 9 June`. Pure.

Nothing here knows how a rule works. Those that refuse for situations are asked themselves, with the facts as they are,
and with the facts as they would be if somebody closed the situation now.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from schemas.facts import Situation
from schemas.times import Instant
from schemas.vocabulary import ASK_INTENTS
from schemas.words import channel_words, join_words
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.definition import SituationRefusal
from services.orchestrator.policy.rules.registry import SITUATION_RULES
from services.orchestrator.policy.scope import ALL_CLASSES, DEFAULT_CLASSES, CompiledScope

_INTENTS = {
    "explain": "explanations",
    "inform": "information",
    "advise": "advice",
    "educate": "educational messages",
    "advertise": "advertising",
    "solicit_payment": "requests for payment",
    "ask_feedback": "requests for feedback",
    "ask_review": "requests for a review",
    "ask_referral": "requests for a referral",
    "apologise": "apologies",
    "alert": "alerts",
    "onboard": "onboarding messages",
}


class SituationEffect(NamedTuple):
    """What one entry of the policy refuses because of situations.

    `situation`: their kind. `what`: the messages that it concerns, in words. `drops`: they are not sent at all; else
    they wait. `until`: when it ends; None for as long as one is open. `if_closed`: when it would end if all that are
    open were closed now; None: at once.
    """

    rule: str
    situation: str
    what: str
    drops: bool
    until: Instant | None
    if_closed: Instant | None = None


def list_effects(facts: Facts, now: Instant) -> list[SituationEffect]:
    """What all situations of the customer together refuse now, in the order of the policy."""
    return list(_find_effects(facts, facts.suppressions.situations, now))


def list_effects_of(facts: Facts, situation: Situation, now: Instant) -> list[SituationEffect]:
    """What one situation refuses now, as if it were the customer's only one."""
    return list(_find_effects(facts, (situation,), now))


def _find_effects(facts: Facts, situations: Iterable[Situation], now: Instant) -> Iterator[SituationEffect]:
    known = tuple(situations)
    all_closed = [each if each.closed is not None else _close(each, now) for each in known]
    if_closed = {refusal.entry: refusal.until for refusal in _list_refusals(facts, all_closed, now)}
    for refusal in _list_refusals(facts, known, now):
        yield SituationEffect(
            refusal.entry,
            refusal.situation,
            describe_scope(refusal.scope),
            refusal.drops,
            refusal.until,
            if_closed.get(refusal.entry) if refusal.until is None else None,
        )


def _list_refusals(facts: Facts, situations: Sequence[Situation], now: Instant) -> Iterator[SituationRefusal]:
    """What the rules refuse with these situations in place of the customer's."""
    suppressions = msgspec.structs.replace(facts.suppressions, situations=tuple(situations))
    changed = msgspec.structs.replace(facts, suppressions=suppressions)
    for rule in SITUATION_RULES:
        yield from rule.list_situation_refusals(changed, now)


def _close(situation: Situation, now: Instant) -> Situation:
    return msgspec.structs.replace(situation, closed=now)


def describe_scope(scope: CompiledScope) -> str:
    """The messages of a scope in words: `asks`, `marketing messages by e-mail`."""
    parts = [
        _describe_kind(scope),
        f"by {join_words(map(channel_words, sorted(scope.channels)), 'or')}" if scope.channels else "",
        f"about {join_words(sorted(scope.topics), 'or')}" if scope.topics else "",
        f"of the campaign {join_words(sorted(scope.campaigns), 'or')}" if scope.campaigns else "",
    ]
    return " ".join(part for part in parts if part)


def _describe_kind(scope: CompiledScope) -> str:
    classes = "" if scope.classes in (DEFAULT_CLASSES, ALL_CLASSES) else join_words(sorted(scope.classes))
    if scope.intents is None:
        named = "service and marketing" if scope.classes == DEFAULT_CLASSES else classes
        return f"{named} messages" if named else "messages"
    rest = sorted(scope.intents - ASK_INTENTS) if scope.intents >= ASK_INTENTS else sorted(scope.intents)
    words = ["asks"] if scope.intents >= ASK_INTENTS else []
    words += [_INTENTS.get(intent, f"messages with the intent {intent}") for intent in rest]
    return join_words(words, "or") + (f" in {classes} messages" if classes else "")
