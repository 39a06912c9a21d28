"""What is said about a decision: the answer first, then the reason, then the rules."""

from typing import Any

import pytest

from schemas.decision import Decision, Jump, Verdict
from schemas.facts import HoldFact, MessageScope
from schemas.reasons import Reason
from schemas.times import DAY, HOUR, parse_instant
from schemas.vocabulary import Channel, Outcome
from services.orchestrator.console import charts, decision_words
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.policy.time_zones import load_zone
from tests.support.decision_records import decision, event

UTC = load_zone("Etc/UTC")
assert UTC is not None
NOW = parse_instant("2026-03-02T12:00:00Z")
AT = WallClock(UTC, NOW)
CALM = Verdict("contact_history", "calm", "deny", NOW + 30 * DAY, "contact_history", {})


def made(outcome: str, reason: str, **changes: Any) -> Decision:
    return decision(event(), outcome=outcome, reason=reason, **changes)


def test_every_outcome_channel_and_reason_has_its_words() -> None:
    assert set(decision_words.OUTCOMES) == set(Outcome)
    assert set(decision_words.CHANNELS) == set(decision_words.CHANNEL_PHRASES) == set(Channel)
    assert set(decision_words.REASONS) == set(Reason)


@pytest.mark.parametrize(
    ("found", "headline", "answer", "reason"),
    [
        (
            made("send", "eligible"),
            "Sent: all rules allowed it",
            "Yes. Ada would get it now.",
            "All rules allow it",
        ),
        (
            made("defer", "quiet_hours", until=NOW + 20 * HOUR),
            "Waits until Tuesday 3 March, 08:00 (Etc/UTC)",
            "Not now. Ada would get it on Tuesday 3 March, 08:00 (Etc/UTC).",
            "Quiet hours, waits until Tue 08:00",
        ),
        (
            made("defer", "incident_hold"),
            "Waits: on hold",
            "Not now. It would wait: on hold.",
            "On hold",
        ),
        (
            made("suppress", "contact_history", allowed_from=NOW + 30 * DAY, verdicts=(CALM,)),
            "Not sent, allowed from Wednesday 1 April, 12:00 (Etc/UTC)",
            "No. Ada can get it from Wednesday 1 April, 12:00 (Etc/UTC).",
            "Too soon after a contact or a situation, not before Wed 1 Apr, 12:00",
        ),
        (
            made(
                "suppress",
                "contact_history",
                allowed_from=NOW + 30 * DAY,
                verdicts=(
                    CALM,
                    Verdict("hold", "outage-7", "defer", None, "incident_hold", {}),
                ),
            ),
            "Not sent, and not before Wednesday 1 April, 12:00 (Etc/UTC)",
            "No, and not before Wednesday 1 April, 12:00 (Etc/UTC).",
            "Too soon after a contact or a situation, not before Wed 1 Apr, 12:00",
        ),
        (
            made("suppress", "no_consent"),
            "Not sent: no consent",
            "No. Ada would not get it: no consent.",
            "No consent",
        ),
        (
            made("fail", "render_error"),
            "Failed: the content could not be rendered",
            "It would fail: the content could not be rendered.",
            "The content could not be rendered",
        ),
    ],
)
def test_the_answer_comes_first(found: Decision, headline: str, answer: str, reason: str) -> None:
    assert decision_words.headline(found, AT) == headline
    assert decision_words.answer_sentence(found, "Ada", AT) == answer
    assert decision_words.short_reason(found, AT).striptags() == reason


def test_the_deciding_rule_is_marked_and_evidence_is_in_words() -> None:
    cap = Verdict("frequency_cap", "sms-a-week", "deny", NOW + DAY, "frequency_cap", {"limit": 2, "counted": 2})
    shadow = Verdict("min_gap", "beta", "defer", None, "cap_window", {"shadow": True, "contact": "x"})
    found = made(
        "suppress", "frequency_cap", rule_id="sms-a-week", verdicts=(Verdict("address", None, "allow"), cap, shadow)
    )
    lines = decision_words.trace_lines(found, AT)
    assert [line.is_decisive for line in lines] == [False, True, False]
    assert lines[1].summary == "denies until Tue 12:00 (decisive)"
    assert str(lines[1].evidence) == "the cap sms-a-week allows 2 contacts, and it is reached"
    assert str(lines[2].evidence) == (
        "in shadow, has no effect: it would be closer to the contact on x than the gap beta"
    )
    assert decision_words.verdict_tally(found) == "1 allows, 1 defers, 1 denies"


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        (
            HoldFact("h", "defer", NOW - HOUR),
            "Since Mon 2 Mar, 11:00, until it is lifted: all service and marketing messages wait.",
        ),
        (
            HoldFact("h", "drop", NOW - HOUR, NOW + DAY, MessageScope(channels=frozenset({"sms"})), region="DE"),
            "Since Mon 2 Mar, 11:00, until Tue 3 Mar, 12:00: SMS in DE are dropped.",
        ),
        (
            HoldFact("h", "defer", NOW + HOUR, None, MessageScope(intents=frozenset({"advertise", "ask_referral"}))),
            "From Mon 2 Mar, 13:00, until it is lifted: advertising, asks for a referral wait.",
        ),
        (
            HoldFact("h", "drop", NOW - HOUR, region="DE", trait={"vip": True, "tier": "gold"}),
            "Since Mon 2 Mar, 11:00, until it is lifted: all service and marketing messages in DE "
            'for customers with tier="gold" and vip=true are dropped.',
        ),
        (
            HoldFact("h", "defer", NOW, reason="INC-482", placed_by="lea"),
            "Since Mon 2 Mar, 12:00, until it is lifted: all service and marketing messages wait. "
            "Placed by lea: INC-482.",
        ),
    ],
)
def test_a_hold_says_what_it_covers_and_until_when(hold: HoldFact, said: str) -> None:
    assert decision_words.describe_hold(hold, AT) == said


def test_a_hold_that_is_over_says_so() -> None:
    lifted = decision_words.describe_hold(HoldFact("h", "defer", NOW - DAY), AT, NOW - HOUR)
    assert lifted == "From Sun 1 Mar, 12:00, until Mon 2 Mar, 11:00: all service and marketing messages waited."
    ended = decision_words.describe_hold(HoldFact("h", "drop", NOW - DAY, NOW - HOUR), AT)
    assert ended == "From Sun 1 Mar, 12:00, until Mon 2 Mar, 11:00: all service and marketing messages were dropped."


def test_a_plan_shows_now_the_last_jumps_and_the_end() -> None:
    cap = Verdict("frequency_cap", "a", "defer", NOW + HOUR, "cap_window", {})
    jumps = tuple(Jump(NOW + n * HOUR, "quiet_hours", "night", NOW + (n + 1) * HOUR) for n in range(1, 6))
    found = made("defer", "quiet_hours", until=NOW + 6 * HOUR, verdicts=(cap,), jumps=jumps)
    assert [(step.when, step.what) for step in charts.plan_steps(found, AT)] == [
        ("12:00", "Cap reached"),
        ("16:00", "Still quiet hours"),
        ("17:00", "Still quiet hours"),
        ("18:00", "Evaluated again"),
    ]
    assert charts.plan_steps(made("suppress", "no_consent"), AT) == []
