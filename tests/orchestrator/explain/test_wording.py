"""One wording for every reason."""

from typing import Any

import pytest

from schemas.decision import Jump, Verdict
from schemas.reasons import TITLES, Reason
from schemas.times import DAY, HOUR
from schemas.vocabulary import Outcome
from services.orchestrator.explain import wording
from tests.support.decision_records import decision, event
from tests.support.orchestrator_app import NOON


def said(verdict: Verdict, outcome: str = "suppress", **changes: Any) -> str:
    of = decision(event(), outcome=outcome, reason=verdict.reason, rule_id=verdict.id, verdicts=(verdict,), **changes)
    return wording.explain_decision(of)


def test_every_reason_has_a_short_name() -> None:
    assert tuple(TITLES) == tuple(Reason)
    assert len(set(TITLES.values())) == len(Reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason != "eligible"])
def test_every_reason_makes_a_sentence_even_without_evidence(reason: Reason) -> None:
    for outcome in (Outcome.DEFER, Outcome.SUPPRESS, Outcome.FAIL):
        text = wording.explain_decision(decision(event(), outcome=outcome, reason=reason, verdicts=()))
        assert text.endswith(".") and text[0].isupper()


SENTENCES = [
    (
        Verdict(
            "contact_history", "survey", "deny", NOON + DAY, "contact_history", {"contact": "2026-03-01T12:00:00Z"}
        ),
        {"allowed_from": NOON + DAY},
        "An ask is not allowed before 2026-03-03T12:00:00Z: there was a contact on 2026-03-01T12:00:00Z "
        "and the rule survey requires a distance of 2 days.",
    ),
    (
        Verdict("suppression", None, "deny", None, "suppression_list", {"reasons": ["hard_bounce"], "entries": 1}),
        {"intent": "inform"},
        "The message is not allowed: the customer is on the do-not-contact list (hard_bounce).",
    ),
    (
        Verdict("consent", None, "deny", None, "no_consent", {"status": "refused", "at": "2026-01-01T00:00:00Z"}),
        {},
        "An ask is not allowed: consent was refused on 2026-01-01T00:00:00Z; it has to be granted.",
    ),
    (
        Verdict("opt_out", None, "deny", None, "opted_out_topic", {"topic": "referrals"}),
        {},
        "An ask is not allowed: the customer opted out of the topic referrals.",
    ),
    (
        Verdict("address", None, "deny", None, "no_address", {"channel": "sms", "unverified": 1}),
        {},
        "An ask is not allowed: the customer's address for sms has to be verified.",
    ),
    (
        Verdict("reentry", None, "deny", None, "duplicate", {"reentry": "once", "last": "2026-01-01T00:00:00Z"}),
        {},
        "An ask is not allowed: the customer received this campaign on 2026-01-01T00:00:00Z, and it is sent only once.",
    ),
    (
        Verdict("frequency_cap", "a-day", "deny", NOON + HOUR, "frequency_cap", {"limit": 2, "counted": 2}),
        {"allowed_from": NOON + HOUR},
        "An ask is not allowed before 2026-03-02T13:00:00Z: the cap a-day allows 2, and it is reached.",
    ),
    (
        Verdict("arbitration", "a-day", "deny", None, "lower_priority", {"lost_to": "msg_1"}),
        {},
        "An ask is not allowed: the cap a-day went to msg_1, which is more important.",
    ),
    (
        Verdict("holdout", None, "deny", None, "holdout", {"group": "global", "percent": 2}),
        {},
        "An ask is not allowed: the customer is in the control group of the whole organisation.",
    ),
]


@pytest.mark.parametrize("verdict, changes, expected", SENTENCES)
def test_a_refusal_names_the_values_that_decided(verdict: Verdict, changes: dict[str, Any], expected: str) -> None:
    assert said(verdict, **changes) == expected


WAITS = [
    (
        Verdict("quiet_hours", "night", "defer", NOON + HOUR, "quiet_hours", {"zones": ["Europe/Berlin"]}),
        {"until": NOON + HOUR},
        "An ask waits until 2026-03-02T13:00:00Z: it falls into the customer's quiet hours (the rule night).",
    ),
    (
        Verdict("hold", "outage-7", "defer", None, "incident_hold", {"since": "2026-03-02T11:00:00Z"}),
        {},
        "An ask waits: the hold outage-7, in force since 2026-03-02T11:00:00Z, has to be lifted.",
    ),
    (
        Verdict("min_gap", "space", "defer", NOON + HOUR, "cap_window", {"contact": "2026-03-02T11:00:00Z"}),
        {"until": NOON + HOUR},
        "An ask waits until 2026-03-02T13:00:00Z: it would be too close to the contact on 2026-03-02T11:00:00Z "
        "(the rule space).",
    ),
]


@pytest.mark.parametrize("verdict, changes, expected", WAITS)
def test_a_deferral_names_the_instant_and_the_rule(verdict: Verdict, changes: dict[str, Any], expected: str) -> None:
    assert said(verdict, "defer", **changes) == expected


def test_a_reason_that_only_a_later_jump_gave_says_when() -> None:
    of = decision(event(), reason="expired", verdicts=(), jumps=(Jump(NOON + DAY, "expiry", None, None),))
    assert wording.explain_decision(of) == (
        "An ask is not allowed: too late on 2026-03-03T12:00:00Z, "
        "the earliest instant at which the other rules allow it."
    )


def test_sends_and_other_channels_are_told_plainly() -> None:
    assert wording.explain_decision(decision(event(), outcome="send", reason="eligible")).startswith(
        "All rules allow it"
    )
    assert "another channel" in wording.explain_decision(decision(event(), reason="other_channel", verdicts=()))
