"""What situations forbid, in words and exactly as long as the rule refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Situation
from schemas.times import DAY, HOUR
from services.orchestrator.explain.situation_effects import describe_scope, list_effects, list_effects_of
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.contact_history.rule import evaluate_situation
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.verdicts import ALLOW
from tests.support.policy_builders import at, facts, policy

NOW = at("05 10:00")
ASKS = {"intents": ["ask_feedback", "ask_review", "ask_referral"]}


def rules(*, within: str = "3d", while_open: bool = True, on_match: str = "drop", **policy_parts: Any) -> Any:
    kind = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "10d"}
    never = {"after": {"situation": "complaint"}, "within": within, "while_open": while_open}
    entry = {"id": "quiet", "scope": ASKS, "never": never, "on_match": on_match}
    return policy(situations=[kind], contact_history=[entry], **policy_parts)


def known(*situations: Situation, **options: Any) -> Facts:
    return facts(rules(**options), situations=situations)


def test_an_open_one_has_no_end_but_the_one_after_closing_it() -> None:
    (effect,) = list_effects(known(Situation("complaint", "", at("04 10:00"))), NOW)
    assert (effect.what, effect.situation, effect.drops) == ("asks", "complaint", True)
    assert (effect.until, effect.if_closed) == (None, NOW + 3 * DAY)


def test_each_situation_is_told_alone_and_all_of_them_together() -> None:
    first, second = (
        Situation("complaint", ref, at("01 10:00"), at(end)) for ref, end in (("a", "03 10:00"), ("b", "04 10:00"))
    )
    both = known(first, second)
    assert [each.until for each in list_effects(both, NOW)] == [at("07 10:00")]
    assert [each.until for each in list_effects_of(both, first, NOW)] == [at("06 10:00")]


@given(st.integers(-400, 0), st.none() | st.integers(-400, 0), st.booleans(), st.integers(1, 9))
def test_an_effect_ends_at_the_very_instant_at_which_the_rule_allows(
    opened: int, closed: int | None, while_open: bool, days: int
) -> None:
    situation = Situation("complaint", "", NOW + opened * HOUR, None if closed is None else NOW + closed * HOUR)
    of = known(situation, within=f"{days}d", while_open=while_open)
    (entry,) = of.policy.histories
    effects = list_effects(of, NOW)
    assert bool(effects) == (evaluate_situation(entry, of, NOW).verdict != ALLOW)
    for effect in effects:
        if effect.until is not None:
            assert evaluate_situation(entry, of, effect.until).verdict == ALLOW
            assert evaluate_situation(entry, of, effect.until - 1).verdict != ALLOW
        else:
            ended = msgspec.structs.replace(situation, closed=NOW)
            after = known(ended, within=f"{days}d", while_open=while_open)
            assert effect.if_closed is not None
            assert evaluate_situation(entry, after, effect.if_closed).verdict == ALLOW
            assert evaluate_situation(entry, after, effect.if_closed - 1).verdict != ALLOW


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (CompiledScope(), "service and marketing messages"),
        (CompiledScope(classes=frozenset({"marketing"})), "marketing messages"),
        (CompiledScope(channels=frozenset({"email", "sms"})), "service and marketing messages by e-mail or SMS"),
        (CompiledScope(intents=frozenset({"ask_review"})), "requests for a review"),
        (CompiledScope(intents=frozenset({"advertise"}), topics=frozenset({"news"})), "advertising about news"),
        (CompiledScope(classes=frozenset({"transactional", "service", "marketing"})), "messages"),
    ],
    ids=["default", "class", "channels", "intent", "topic", "all"],
)
def test_a_scope_in_words(scope: CompiledScope, words: str) -> None:
    assert describe_scope(scope) == words
