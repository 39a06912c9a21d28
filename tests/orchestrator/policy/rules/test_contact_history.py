import pytest

from schemas.facts import Situation
from services.orchestrator.policy.counted_contacts import Incomplete
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.rules.contact_history import rule
from tests.support.policy_builders import (
    ALLOW,
    at,
    campaign,
    contact,
    facts,
    judged,
    ledger,
    only,
    policy,
    touch,
    try_on,
)

ASK = campaign("ask", intent="ask_referral", strategy="all", channels=["email", "push"])
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "10d"}


def never(after: dict[str, object], on_match: str = "drop", within: str = "1d", **fields: object) -> dict[str, object]:
    scope = {"intents": ["ask_referral"]}
    return {"id": "quiet", "scope": scope, "never": {"after": after, "within": within, **fields}, "on_match": on_match}


def open_since(opened: str, closed: str | None = None, ref: str = "") -> Situation:
    return Situation("complaint", ref, at(opened), None if closed is None else at(closed))


@pytest.mark.parametrize(
    ("while_open", "situations", "now", "free"),
    [
        (False, [], "02 10:00", "now"),
        (False, [open_since("01 10:00")], "02 09:59:59", "02 10:00"),
        (False, [open_since("01 10:00")], "02 10:00", "now"),
        (False, [open_since("01 10:00", "01 20:00")], "02 10:00", "02 20:00"),  # from its end, once it has one
        (False, [open_since("01 10:00", "01 09:00")], "02 09:00", "02 10:00"),  # clocks differ: from the later one
        (False, [open_since("03 10:00")], "02 10:00", "04 10:00"),  # known, whatever its timestamp says
        (True, [open_since("01 10:00")], "05 10:00", None),  # open: nobody knows for how long
        (True, [open_since("01 10:00", "05 12:00")], "06 11:59:59", "06 12:00"),
        (True, [open_since("01 10:00", "05 12:00")], "06 12:00", "now"),
        (True, [open_since("01 10:00")], "11 10:00", "12 10:00"),  # lapsed: a day from the lapse
        (True, [open_since("01 10:00")], "12 10:00", "now"),
        (
            True,
            [open_since("01 10:00", "02 10:00", '"a"'), open_since("01 10:00", "05 10:00", '"b"')],
            "03 12:00",
            "06 10:00",
        ),
        (True, [open_since("01 10:00", "05 10:00"), open_since("02 10:00", ref='"b"')], "03 12:00", None),
    ],
)
@pytest.mark.parametrize("on_match", ["drop", "defer"])
def test_after_a_situation(
    while_open: bool, situations: list[Situation], now: str, free: str | None, on_match: str
) -> None:
    rules = policy(
        situations=[COMPLAINT], contact_history=[never({"situation": "complaint"}, on_match, while_open=while_open)]
    )
    known = facts(rules, situations=tuple(situations))
    found = only(judged(rule, try_on(touch(ASK), known), known, now))
    refusal = "deny" if on_match == "drop" else "defer"
    expected = (
        ("allow", None, "quiet", None) if free == "now" else (refusal, "contact_history", "quiet", free and at(free))
    )
    assert found == expected


@pytest.mark.parametrize(
    ("past", "now", "free"),
    [
        ([contact("01 10:00", of=ASK)], "02 09:59:59", "02 10:00"),
        ([contact("01 10:00", of=ASK)], "02 10:00", None),
        ([contact("02 10:00", of=ASK)], "02 09:59:59", None),  # only afterwards
        ([contact("02 09:00")], "02 10:00", None),  # another intent
        ([contact("01 12:00", of=ASK), contact("02 11:00", of=ASK)], "02 10:00", "03 11:00"),  # the next one joins on
        ([contact("02 09:00", of=ASK, event_id="e-1", channel="push")], "02 10:00", None),  # a sibling
    ],
)
def test_after_contacts(past: list[object], now: str, free: str | None) -> None:
    known = facts(policy(contact_history=[never({"contacts": {"intents": ["ask_referral"]}}, "defer")]))
    found = only(judged(rule, try_on(touch(ASK), known, ledger(*past)), known, now))  # type: ignore[arg-type]
    assert found == (
        ("allow", None, "quiet", None) if free is None else ("defer", "contact_history", "quiet", at(free))
    )


def test_another_candidate_is_left_alone() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[never({"situation": "complaint"})])
    known = facts(rules, situations=(open_since("02 09:00"),))
    assert only(judged(rule, try_on(touch(), known), known)) == ALLOW


def test_a_ledger_that_has_forgotten_too_much_fails_closed() -> None:
    known = facts(policy(contact_history=[never({"contacts": {"intents": ["ask_referral"]}})]))
    with pytest.raises(Incomplete):
        judged(rule, try_on(touch(ASK), known, Ledger(complete_from=at("02 09:00"))), known)


def test_a_refusal_shows_the_situation_that_refuses_last() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[never({"situation": "complaint"})])
    known = facts(rules, situations=(open_since("02 09:00", ref='"a"'), open_since("01 10:00", "02 08:00", '"b"')))
    assert judged(rule, try_on(touch(ASK), known), known)[0].evidence == {
        "situation": "complaint",
        "opened": "2026-03-01T10:00:00Z",
        "closed": "2026-03-02T08:00:00Z",
    }


def test_a_refusal_shows_the_last_contact_before_it() -> None:
    known = facts(policy(contact_history=[never({"contacts": {"intents": ["ask_referral"]}})]))
    past = ledger(*(contact(each, of=ASK) for each in ("02 08:00", "02 09:00", "02 11:00")))
    found = judged(rule, try_on(touch(ASK), known, past), known)[0]
    assert (found.evidence, found.until) == ({"contact": "2026-03-02T09:00:00Z"}, at("03 11:00"))


def test_at_the_gate_contacts_are_looked_for_from_the_mark_and_as_far_back_as_the_rule_reaches() -> None:
    known = facts(policy(contact_history=[never({"contacts": {"intents": ["ask_referral"]}}, "defer")]))
    past = ledger(contact("01 09:59", of=ASK))
    assert only(judged(rule, try_on(touch(ASK), known, past, marked="02 09:58"), known))[0] == "defer"
    reaches = try_on(touch(ASK), known, Ledger(complete_from=at("01 09:58")), marked="02 09:58")
    assert only(judged(rule, reaches, known))[0] == "allow"


def test_another_kind_of_situation_refuses_nothing() -> None:
    rules = policy(
        situations=[COMPLAINT, {**COMPLAINT, "kind": "incident"}],
        contact_history=[never({"situation": "complaint"}, while_open=True)],
    )
    known = facts(rules, situations=(Situation("incident", "", at("02 09:00")),))
    assert only(judged(rule, try_on(touch(ASK), known), known))[0] == "allow"


def test_a_contact_at_this_very_instant_refuses() -> None:
    known = facts(policy(contact_history=[never({"contacts": {"intents": ["ask_referral"]}}, "defer")]))
    found = judged(rule, try_on(touch(ASK), known, ledger(contact("02 10:00", of=ASK))), known)[0]
    assert (found.until, found.evidence) == (at("03 10:00"), {"contact": "2026-03-02T10:00:00Z"})


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_that_refuse_the_last_end_counts(order: int) -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[never({"situation": "complaint"}, while_open=True)])
    both = (open_since("01 10:00", "03 10:00", '"a"'), open_since("01 10:00", "05 10:00", '"b"'))
    known = facts(rules, situations=both[::order])
    assert only(judged(rule, try_on(touch(ASK), known), known, "03 12:00"))[3] == at("06 10:00")
