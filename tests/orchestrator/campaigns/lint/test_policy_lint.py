"""Findings about policies: each is right, and documents that mean what they say have none."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

import schemas.policy
from schemas.documents import load_document, validate_document
from schemas.times import HOUR, parse_instant
from services.orchestrator.campaigns.lint import lint_policy, redundant_rules, week_minutes
from services.orchestrator.policy.compiled_policy import Cap, compile_policy
from services.orchestrator.policy.free_instants import next_free_calendar, next_free_rolling
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.time_zones import load_zone

ROOT = Path(__file__).parents[4]
NOW = parse_instant("2026-03-02T10:00:00Z")
CAP: dict[str, Any] = {"limit": 2, "window": {"rolling": "1d"}, "on_exceed": "defer"}
QUIET = {"from": "21:00", "to": "08:00"}
RULE: dict[str, Any] = {"never": {"after": {"situation": "complaint"}, "within": "10d"}, "on_match": "drop"}
LAPSES = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "90d"}


def policy(**parts: Any) -> schemas.policy.Policy:
    topics = [{"key": "news", "name": "News"}, {"key": "account", "name": "Account", "required": True}]
    return validate_document(
        schemas.policy.Policy, {"zone": "Etc/UTC", "topics": topics, "situations": [LAPSES], **parts}
    )


def found(**parts: Any) -> list[tuple[str, str]]:
    return [(finding.pointer, finding.code) for finding in lint_policy(policy(**parts), NOW)]


def named(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": f"r-{number}", **entry} for number, entry in enumerate(entries)]


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/policy.yaml")), ids=lambda path: path.parent.name)
def test_our_own_policies_have_no_finding(path: Path) -> None:
    assert lint_policy(validate_document(schemas.policy.Policy, load_document(path.read_bytes())), NOW) == []


IDLE = {
    "the same twice": [CAP, CAP],
    "a looser limit": [CAP, {**CAP, "limit": 3}],
    "a shorter window": [CAP, {**CAP, "window": {"rolling": "2h"}}],
    "a narrower scope": [CAP, {**CAP, "scope": {"topics": ["news"]}}],
    "a month holds its days": [{**CAP, "window": {"calendar": "month"}}, {**CAP, "window": {"calendar": "day"}}],
    "nine days hold a week": [{**CAP, "window": {"rolling": "9d"}}, {**CAP, "window": {"calendar": "week"}}],
    "a cap that drops stops more": [{**CAP, "on_exceed": "drop"}, CAP],
}
BUSY = {
    "a tighter limit in less time": [CAP, {**CAP, "limit": 1, "window": {"rolling": "2h"}}],
    "a longer window with more room": [CAP, {**CAP, "limit": 3, "window": {"rolling": "2d"}}],
    "a cap that drops, beside one that defers": [CAP, {**CAP, "limit": 3, "on_exceed": "drop"}],
    "another class": [CAP, {**CAP, "scope": {"classes": ["transactional"]}}],
    "channels named count siblings": [CAP, {**CAP, "scope": {"channels": ["email"]}}],
    "in_app is named": [CAP, {**CAP, "scope": {"channels": ["in_app"]}}],
    "a week is not within a month": [{**CAP, "window": {"calendar": "month"}}, {**CAP, "window": {"calendar": "week"}}],
    "eight days need not hold a week": [{**CAP, "window": {"rolling": "8d"}}, {**CAP, "window": {"calendar": "week"}}],
    "other zones": [
        {**CAP, "window": {"calendar": "day", "zone": "org"}},
        {**CAP, "limit": 3, "window": {"calendar": "day", "zone": "customer"}},
    ],
}


@pytest.mark.parametrize("caps", IDLE.values(), ids=IDLE)
def test_a_cap_that_can_never_bind_is_told(caps: list[dict[str, Any]]) -> None:
    assert found(frequency_caps=named(*caps)) == [("/frequency_caps/1", "cap_never_binds")]
    shadowed = found(frequency_caps=named(*caps), shadow=["r-0"])
    assert ("/frequency_caps/1", "cap_never_binds") not in shadowed, "a rule that is only watched stops nothing"


@pytest.mark.parametrize("caps", BUSY.values(), ids=BUSY)
def test_caps_that_say_different_things_are_fine(caps: list[dict[str, Any]]) -> None:
    assert found(frequency_caps=named(*caps)) == []


def test_an_earlier_cap_may_be_the_idle_one() -> None:
    assert found(frequency_caps=named(CAP, {**CAP, "window": {"rolling": "2d"}})) == [
        ("/frequency_caps/0", "cap_never_binds")
    ]


def test_a_cap_within_a_gap_never_binds() -> None:
    gap = [{"id": "gap", "gap": "2h"}]
    short = {**CAP, "window": {"rolling": "2h"}}
    assert found(frequency_caps=named(short), min_gaps=gap) == [("/frequency_caps/0", "cap_never_binds")]
    assert found(frequency_caps=named({**short, "on_exceed": "drop"}), min_gaps=gap) == []
    assert found(frequency_caps=named({**short, "scope": {"channels": ["sms"]}}), min_gaps=gap) == []


def test_gaps_and_quiet_hours_that_another_one_holds_are_unreachable() -> None:
    assert found(min_gaps=named({"gap": "1h"}, {"gap": "2h"})) == [("/min_gaps/0", "unreachable_rule")]
    assert found(min_gaps=named({"gap": "1h"}, {"gap": "2h", "scope": {"topics": ["news"]}})) == []
    inside = {"from": "22:00", "to": "07:00", "days": ["sun"], "scope": {"channels": ["sms"]}}
    assert found(quiet_hours=named(QUIET, inside)) == [("/quiet_hours/1", "unreachable_rule")]
    assert found(quiet_hours=named(QUIET, {**inside, "to": "08:01"})) == []


def test_history_rules_that_repeat_or_contradict_each_other() -> None:
    longer = {"never": {**RULE["never"], "within": "20d"}, "on_match": "drop"}
    waits = {**longer, "on_match": "defer"}
    still = {"never": {**RULE["never"], "while_open": True}, "on_match": "drop"}
    assert found(contact_history=named(RULE, longer)) == [("/contact_history/0", "unreachable_rule")]
    assert found(contact_history=named(longer, still)) == []
    assert found(contact_history=named(RULE, {**RULE, "on_match": "defer"})) == [
        ("/contact_history/1", "unreachable_rule")
    ]
    assert found(contact_history=named(RULE, waits)) == [("/contact_history/1/on_match", "contradicting_rules")]
    assert found(contact_history=named({**RULE, "scope": {"intents": ["ask_review"]}}, waits)) == []


def test_quiet_hours_that_leave_no_hour() -> None:
    day = {"from": "08:00", "to": "21:00"}
    assert found(quiet_hours=named(QUIET, day)) == [("/quiet_hours/1", "no_hour_left")]
    assert found(quiet_hours=named(QUIET, {**day, "to": "20:59"})) == []
    apart = [{**QUIET, "scope": {"channels": ["sms"]}}, {**day, "scope": {"channels": ["push"]}}]
    assert found(quiet_hours=named(*apart)) == []
    assert found(quiet_hours=named(QUIET, {**day, "days": ["mon", "tue", "wed", "thu", "fri", "sat"]})) == []
    assert found(quiet_hours=named(QUIET, day), shadow=["r-1"]) == []


def test_zones_that_are_never_awake_together() -> None:
    zones = ["Asia/Tokyo", "America/New_York"]
    long = {"from": "18:00", "to": "09:00"}
    assert found(quiet_hours=named(long), unknown_zones=zones) == [("/quiet_hours/0", "no_hour_left")]
    assert found(quiet_hours=named({**long, "from": "21:00"}), unknown_zones=zones) == []


def test_names_that_no_campaign_can_have() -> None:
    (finding,) = lint_policy(policy(min_gaps=[{"id": "g", "gap": "1h", "scope": {"topics": ["news", "nwes"]}}]), NOW)
    assert (finding.pointer, finding.code) == ("/min_gaps/0/scope/topics/1", "unknown_topic")
    assert "did you mean `news`" in finding.detail and finding.suggestion


def test_marketing_without_a_topic_for_it() -> None:
    topics = [{"key": "account", "name": "Account", "required": True}]
    cap = named({**CAP, "scope": {"classes": ["marketing"]}})
    assert found(topics=topics, frequency_caps=cap) == [("/topics", "marketing_without_topic")]
    assert found(topics=topics) == []


def test_a_control_group_of_everybody() -> None:
    assert found(holdout={"percent": 100, "salt": "s"}) == [("/holdout/percent", "everybody_held_out")]


WINDOWS = some.one_of(
    some.sampled_from([("rolling", hours * HOUR) for hours in (1, 24, 50, 80, 170, 250)]),
    some.sampled_from([("calendar", unit) for unit in ("day", "week")]),
)
CAPS = some.builds(
    lambda window, limit, drops: Cap(
        "c", CompiledScope(), limit, window[1] if window[0] == "rolling" else None, str(window[1]), True, drops, True, 1
    ),
    WINDOWS,
    some.integers(1, 4),
    some.booleans(),
)


def free(cap: Cap, times: list[int], t: int) -> bool:
    """Whether the cap allows an instant, told by the arithmetic that decides."""
    if cap.rolling is not None:
        return next_free_rolling(times, cap.limit, cap.rolling, t) == t
    berlin = load_zone("Europe/Berlin")
    assert berlin is not None
    return next_free_calendar(times, cap.limit, cap.period, berlin, 0, t) == t


@given(CAPS, CAPS, some.lists(some.integers(-400, 400), max_size=8), some.integers(-50, 50))
def test_an_idle_cap_never_refuses_what_its_outer_one_allows(
    inner: Cap, outer: Cap, contacts: list[int], at: int
) -> None:
    times = sorted(NOW + hour * HOUR for hour in contacts)
    t = NOW + at * HOUR
    if redundant_rules.is_cap_covered_by_cap(inner, outer) and not free(inner, times, t):
        assert not free(outer, times, t)


@given(some.lists(some.tuples(some.integers(0, 1439), some.integers(0, 1439)), min_size=1, max_size=3))
def test_a_week_without_a_free_minute_is_one_that_never_ends(windows: list[tuple[int, int]]) -> None:
    document = [
        {"id": f"q-{n}", "from": f"{a // 60:02d}:{a % 60:02d}", "to": f"{b // 60:02d}:{b % 60:02d}"}
        for n, (a, b) in enumerate(windows)
        if a != b
    ]
    rules = compile_policy(policy(quiet_hours=document), 1).quiet_windows
    everything = {minute for a, b in windows if a != b for minute in range(a, b if a < b else b + 1440)}
    assert (week_minutes.combined_quiet_minutes(rules) == week_minutes.WHOLE_WEEK) == (
        {minute % 1440 for minute in everything} == set(range(1440))
    )


def test_a_huge_policy_is_looked_at_in_bounded_time() -> None:
    many = [{**QUIET, "id": f"q-{n}", "scope": {"topics": ["news"], "campaigns": [f"c-{n}"]}} for n in range(600)]
    caps = [{**CAP, "id": f"c-{n}", "limit": 600 - n, "scope": {"campaigns": [f"c-{n}"]}} for n in range(600)]
    began = time.process_time()
    assert found(quiet_hours=many, frequency_caps=caps) == []
    assert time.process_time() - began < 10
