from typing import Any

import msgspec
import pytest

from schemas.facts import HoldFact, MessageScope
from services.orchestrator.policy.rules.hold import rule
from tests.support.policy_builders import ALLOW, at, campaign, facts, judged, only, preference, touch, try_on

RECEIPT = campaign("receipt", cls="transactional", topic=None)


def hold(key: str = "outage", mode: str = "defer", until: str | None = "02 14:00", **fields: Any) -> HoldFact:
    return HoldFact(key, mode, at("02 10:00"), None if until is None else at(until), **fields)


WAIT = ("defer", "incident_hold", "outage", at("02 14:00"))


@pytest.mark.parametrize(
    ("placed", "now", "expected"),
    [
        (hold(), "02 09:59:59", ALLOW),
        (hold(), "02 10:00", WAIT),
        (hold(), "02 14:00", ALLOW),  # it is over
        (hold(until=None), "02 12:00", ("defer", "incident_hold", "outage", None)),
        (hold(mode="drop"), "02 12:00", ("deny", "hold_drop", "outage", at("02 14:00"))),
        (hold(scope=MessageScope(channels=frozenset({"push"}))), "02 12:00", ALLOW),
        (hold(scope=MessageScope(topics=frozenset({"news"}))), "02 12:00", WAIT),
        (hold(scope=MessageScope(campaigns=frozenset({"other"}))), "02 12:00", ALLOW),
        (hold(scope=MessageScope(intents=frozenset({"advertise"}))), "02 12:00", WAIT),
        (hold(scope=MessageScope(classes=frozenset({"service"}))), "02 12:00", ALLOW),
        (hold(region="PT"), "02 12:00", WAIT),
        (hold(region="DE"), "02 12:00", ALLOW),
        (hold(trait={"tier": 1}), "02 12:00", WAIT),
        (hold(trait={"tier": 1.0, "vip": True}), "02 12:00", WAIT),  # numbers by value
        (hold(trait={"tier": "1"}), "02 12:00", ALLOW),  # text is no number
        (hold(trait={"tier": True}), "02 12:00", ALLOW),  # nor is a boolean
        (hold(trait={"tags": ["a", {"b": 2}]}), "02 12:00", WAIT),
        (hold(trait={"missing": None}), "02 12:00", ALLOW),
        (hold(trait={"tier": 1, "vip": False}), "02 12:00", ALLOW),  # every one of them
        (hold(trait={"vip": False, "tier": 1}), "02 12:00", ALLOW),
    ],
)
def test_table(placed: HoldFact, now: str, expected: tuple[object, ...]) -> None:
    traits = {"vip": True, "tier": 1, "tags": ["a", {"b": 2.0}]}
    known = facts(chosen=preference(traits, country="PT"), holds=(placed,))
    assert only(judged(rule, try_on(touch(), known), known, now)) == expected


def test_without_classes_transactional_messages_pass_and_with_them_they_do_not() -> None:
    for scope, verdict in ((MessageScope(), "allow"), (MessageScope(classes=frozenset({"transactional"})), "defer")):
        known = facts(holds=(hold(scope=scope),))
        assert only(judged(rule, try_on(touch(RECEIPT), known), known, "02 12:00"))[0] == verdict


def test_all_holds_speak_in_order_of_key_the_customers_own_as_well() -> None:
    everybodys = facts(holds=(hold("c"), hold("a", "drop")))
    own = msgspec.structs.replace(everybodys.suppressions, holds=(hold("b"),))
    known = msgspec.structs.replace(everybodys, suppressions=own)
    assert [each.id for each in judged(rule, try_on(touch(), known), known, "02 12:00")] == ["a", "b", "c"]


def test_at_the_gate_a_hold_that_begins_a_little_later_counts() -> None:
    known = facts(holds=(hold(mode="drop"),))
    assert only(judged(rule, try_on(touch(), known, marked="02 09:58"), known, "02 09:58"))[0] == "deny"


@pytest.mark.parametrize("mode", ["defer", "drop"])
def test_a_refusal_says_since_when_the_hold_is_in_force(mode: str) -> None:
    known = facts(holds=(hold(mode=mode),))
    assert judged(rule, try_on(touch(), known), known, "02 12:00")[0].evidence == {"since": "2026-03-02T10:00:00Z"}


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (0, False, False),
        (True, True, True),
        (False, False, True),
        ("1", 1, False),
        (None, None, True),
        ({"x": 1, "y": [True]}, {"y": [True], "x": 1.0}, True),
        ({"x": 1}, {"x": True}, False),
        ({"x": 1}, {"y": 1}, False),
        ({"x": 1}, {"x": 1, "y": 2}, False),
        ({"x": 1, "y": 2}, {"x": 1, "y": 3}, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [1], False),
        ([1], [1, 2], False),
        ([1, 2], [2, 1], False),
        ([1, 2], [1, True], False),
        ({}, [], False),
        ([], {}, False),
    ],
)
def test_json_values_are_equal_by_value_and_kind(a: Any, b: Any, equal: bool) -> None:
    assert rule.json_equal(a, b) is equal


def test_a_hold_of_this_customer_alone_counts() -> None:
    own = msgspec.structs.replace(facts().suppressions, holds=(hold(mode="drop"),))
    known = msgspec.structs.replace(facts(), suppressions=own)
    assert only(judged(rule, try_on(touch(), known), known, "02 12:00"))[:2] == ("deny", "hold_drop")
