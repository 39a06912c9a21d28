"""One wording for every reason."""

from typing import Any

import pytest

from schemas.decision import Jump, Verdict
from schemas.finding import Finding
from schemas.reasons import TITLES, Reason
from schemas.rule_registry import RULE_REGISTRY, RuleDeclaration
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
        "The message is not allowed: the customer is on the do-not-contact list (the address bounced).",
    ),
    (
        Verdict("consent", None, "deny", None, "no_consent", {"status": "refused", "at": "2026-01-01T00:00:00Z"}),
        {},
        "An ask is not allowed: consent to this channel and topic was refused on 2026-01-01T00:00:00Z.",
    ),
    (
        Verdict("opt_out", None, "deny", None, "opted_out_topic", {"topic": "referrals"}),
        {},
        "An ask is not allowed: the customer opted out of the topic referrals.",
    ),
    (
        Verdict("opt_out", None, "deny", None, "opted_out_topic", {"topic": "referrals", "channel": "sms"}),
        {},
        "An ask is not allowed: the customer opted out of the topic referrals on SMS.",
    ),
    (
        Verdict("consent", None, "deny", None, "no_consent", {"status": "soft_opt_in", "at": "2026-01-01T00:00:00Z"}),
        {},
        "An ask is not allowed: the consent to this channel and topic of 2026-01-01T00:00:00Z has the status "
        "soft_opt_in, not granted.",
    ),
    (
        Verdict("address", None, "deny", None, "no_address", {"channel": "sms", "unverified": 1}),
        {},
        "An ask is not allowed: the address of the customer for SMS is not verified.",
    ),
    (
        Verdict("reentry", None, "deny", None, "duplicate", {"reentry": "once", "last": "2026-01-01T00:00:00Z"}),
        {},
        "An ask is not allowed: the customer received this campaign on 2026-01-01T00:00:00Z, and it is sent only once.",
    ),
    (
        Verdict("frequency_cap", "a-day", "deny", NOON + HOUR, "frequency_cap", {"limit": 2, "counted": 2}),
        {"allowed_from": NOON + HOUR},
        "An ask is not allowed before 2026-03-02T13:00:00Z: the cap a-day allows 2 contacts, and it is reached.",
    ),
    (
        Verdict("arbitration", "a-day", "deny", None, "lower_priority", {"lost_to": "msg_1"}),
        {},
        "An ask is not allowed: the room that the cap a-day leaves went to another message, which is more important.",
    ),
    (
        Verdict("holdout", None, "deny", None, "holdout", {"group": "global", "percent": 2}),
        {},
        "An ask is not allowed: the customer is in the control group of the whole organisation, "
        "2 percent of all customers.",
    ),
]


@pytest.mark.parametrize("verdict, changes, expected", SENTENCES)
def test_a_refusal_names_the_values_that_decided(verdict: Verdict, changes: dict[str, Any], expected: str) -> None:
    assert said(verdict, **changes) == expected


WAITS = [
    (
        Verdict("quiet_hours", "night", "defer", NOON + HOUR, "quiet_hours", {"zones": ["Europe/Berlin"]}),
        {"until": NOON + HOUR},
        "An ask waits until 2026-03-02T13:00:00Z: it falls into the quiet hours night in Europe/Berlin.",
    ),
    (
        Verdict("hold", "outage-7", "defer", None, "incident_hold", {"since": "2026-03-02T11:00:00Z"}),
        {},
        "An ask waits: the hold outage-7 is in force, since 2026-03-02T11:00:00Z and until it is lifted.",
    ),
    (
        Verdict("min_gap", "space", "defer", NOON + HOUR, "cap_window", {"contact": "2026-03-02T11:00:00Z"}),
        {"until": NOON + HOUR},
        "An ask waits until 2026-03-02T13:00:00Z: it would be closer to the contact on 2026-03-02T11:00:00Z "
        "than the gap space.",
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


def saw(rule: str, id: str | None = None, cls: str = "marketing", **evidence: Any) -> str:
    return wording.describe_verdict(Verdict(rule, id, "allow", None, None, evidence), cls)


ALLOWED = [
    (saw("address", verified=True), "verified address"),
    (saw("address", verified=False), "unverified address"),
    (saw("address", needed=False), "the channel needs no address"),
    (
        saw("address", verified=True, unusable=1, problems=["no e-mail address"]),
        "verified address; 1 address passed over: no e-mail address",
    ),
    (saw("campaign"), "the campaign is active"),
    (saw("consent", granted_at="2026-03-01T10:00:00Z"), "consent was given on 2026-03-01T10:00:00Z"),
    (saw("consent", cls="service"), "it does not concern service messages"),
    (
        saw("contact_history", "asks", contacts="message by e-mail", within="90d"),
        "no message by e-mail in the last 90 days",
    ),
    (saw("contact_history", "r", situation="payment_dispute", within="1d"), "no payment dispute in the last 1 day"),
    (saw("frequency_cap", "a", limit=1, per="week"), "the limit of 1 contact in a calendar week is not reached"),
    (saw("frequency_cap", "a", limit=3, per="1d"), "the limit of 3 contacts in any 24 hours is not reached"),
    (saw("min_gap", "space", gap="2h"), "no other contact within 2 hours"),
    (saw("reentry", reentry="every 90d"), "no message of this campaign in 90 days"),
    (saw("reentry", reentry="once"), "the customer has not received this campaign before"),
    (saw("gone"), "it has no objection"),
]


@pytest.mark.parametrize(("words", "expected"), ALLOWED)
def test_what_allows_says_what_it_saw(words: str, expected: str) -> None:
    assert words == expected


def refusal(rule: str, reason: str, id: str | None = None, until: int | None = None, **evidence: Any) -> Verdict:
    return Verdict(rule, id, "deny", until, reason, evidence)


COMPLAINT: dict[str, Any] = {"situation": "complaint", "opened": "2026-03-01T10:00:00Z", "closed": None}
WRONG_KIND = {"operation": ">=", "variable": "customer.traits.days", "found": "text", "expected": "number"}
CHANGES = [
    (
        refusal("consent", "no_consent", channel="email", topic="news"),
        ["the customer gives consent to e-mail about news"],
    ),
    (refusal("address", "no_address", channel="sms", unverified=1), ["the customer verifies an address for SMS"]),
    (refusal("address", "no_address", channel="sms", unverified=0), ["the customer gives an address for SMS"]),
    (refusal("hold", "hold_drop", "outage-7"), ["an operator lifts the hold outage-7"]),
    (
        refusal("hold", "hold_drop", "outage-7", NOON),
        ["an operator lifts the hold outage-7 or wait until 2026-03-02T12:00:00Z"],
    ),
    (refusal("frequency_cap", "frequency_cap", "a", NOON, limit=1), ["wait until 2026-03-02T12:00:00Z"]),
    (refusal("contact_history", "contact_history", "r", **COMPLAINT), ["an agent closes the complaint"]),
    (refusal("opt_out", "opted_out_channel", channel="email"), ["the customer opts in again to e-mail"]),
    (refusal("opt_out", "opted_out_all"), ["the customer opts in again to messages"]),
    (
        refusal("campaign", "campaign_inactive", active=False, status="submitted"),
        ["an approver approves the draft, and it is activated"],
    ),
    (
        refusal("audience", "not_in_audience", condition="x", missing="customer.traits.vip"),
        ["whoever sends the data sends a value for `customer.traits.vip` or a marketer changes the audience"],
    ),
    (refusal("holdout", "holdout", group="global", percent=2), []),
    (refusal("expiry", "expired", expires_at="2026-03-01T10:00:00Z"), []),
    (refusal("suppression", "suppression_list", reasons=["erased"], entries=1, covers="customer"), []),
    (
        Verdict("audience", None, "fail", None, "policy_unavailable", {**WRONG_KIND, "line": 1, "column": 17}),
        ["whoever sends the data sends `customer.traits.days` as a number or a marketer changes the condition"],
    ),
]


@pytest.mark.parametrize(("verdict", "changes"), CHANGES)
def test_what_would_have_to_change_is_what_somebody_can_change(verdict: Verdict, changes: list[str]) -> None:
    assert wording.list_changes(decision(event(), verdicts=(verdict,))) == changes


@pytest.mark.parametrize(
    ("rule", "evidence", "said"),
    [
        ("audience", WRONG_KIND, "the audience compares `customer.traits.days` (text) with a number"),
        (
            "campaign",
            {"operation": "in", "variable": "event.data.x", "found": "bool", "expected": "list or map"},
            "the condition of the trigger uses `event.data.x` (true or false) where `in` needs a list or an object",
        ),
        (
            "audience",
            {"operation": ".city", "variable": "customer.traits.age", "found": "number", "expected": "map"},
            "the audience reads the field `city` of `customer.traits.age` (number), which is no object",
        ),
        (
            "audience",
            {"operation": "the condition", "variable": "customer.traits.age", "found": "number", "expected": "bool"},
            "the audience gives `customer.traits.age` (number) and not true or false",
        ),
        ("audience", {"operation": "/", "problem": "divides by zero"}, "the audience divides by zero at `/`"),
    ],
)
def test_a_condition_that_failed_names_its_cause(rule: str, evidence: dict[str, Any], said: str) -> None:
    verdict = Verdict(rule, None, "fail", None, "policy_unavailable", {**evidence, "line": 1, "column": 17})
    assert wording.explain_verdict(verdict) == f"{said}, at line 1, column 17"
    of = decision(event(), outcome="fail", reason="policy_unavailable", rule_id=None, verdicts=(verdict,))
    assert wording.explain_decision(of) == f"An ask failed: {said}, at line 1, column 17."
    older = Verdict(rule, None, "fail", None, "policy_unavailable", {"error": "ConditionError"})
    assert wording.explain_verdict(older) == f"the rule {rule} could not be evaluated"


def test_a_failed_rendering_names_the_place_and_what_can_be_done() -> None:
    place, detail = "/content/sms/en/text", "line 1, column 7: `event.data.x` has no value"
    failure = Finding(place, "undefined", detail, 1, 7, variable="event.data.x", found="nothing", expected="a value")
    of = decision(event(), outcome="fail", reason="render_error", rule_id="undefined", verdicts=(), failure=failure)
    assert wording.explain_decision(of) == (f"An ask failed: the content could not be rendered: {detail} (in {place}).")
    assert wording.list_changes(of) == [
        "whoever sends the data sends a value for `event.data.x` or a marketer changes the content"
    ]


def test_of_what_only_passes_with_time_the_longest_wait_is_named() -> None:
    cap = Verdict("frequency_cap", "a-day", "defer", NOON + HOUR, "cap_window", {})
    quiet = Verdict("quiet_hours", "night", "defer", NOON + 2 * HOUR, "quiet_hours", {})
    hold = Verdict("hold", "checkout", "defer", NOON + HOUR, "incident_hold", {})
    found = wording.list_changes(decision(event(), outcome="defer", verdicts=(cap, hold, quiet)))
    assert found == [
        "an operator lifts the hold checkout or wait until 2026-03-02T13:00:00Z",
        "wait until 2026-03-02T14:00:00Z",
    ]


def test_times_are_spelt_out_with_their_zone() -> None:
    text = wording.with_readable_times("from 2026-03-02T12:00:00Z to 2026-03-02T12:00:05.5Z")
    assert text == "from 2 March 2026, 12:00 UTC to 2 March 2026, 12:00:05 UTC"


def test_no_words_show_an_id_that_people_have_not_given() -> None:
    lost = refusal("arbitration", "lower_priority", "a-day", lost_to="msg_1", winner="urgent")
    assert wording.explain_verdict(lost) == (
        "the room that the cap a-day leaves went to a message of the campaign urgent, which is more important"
    )


@pytest.mark.parametrize("rule", RULE_REGISTRY.declarations.values(), ids=lambda rule: rule.id)
def test_the_words_of_every_rule_hold_for_decisions_without_evidence(rule: RuleDeclaration) -> None:
    cls = sorted(rule.classes)[0]
    texts = [wording.describe_verdict(Verdict(rule.id, None, "allow"), cls)]
    for reason in rule.reasons:
        verdict = Verdict(rule.id, None, "deny", None, reason.code, {})
        texts += [wording.describe_verdict(verdict, cls), *wording.list_changes(decision(event(), verdicts=(verdict,)))]
    for text in texts:
        assert text and not text.endswith(".") and "_" not in text
