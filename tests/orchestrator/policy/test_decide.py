from typing import Any

import pytest

from schemas.facts import HoldFact, MessageScope, OptOut, SuppressionEntry
from schemas.ids import compute_message_id
from services.orchestrator.policy.decide import DecideResult, decide
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from tests.support.policy_builders import at, campaign, contact, event, facts, ledger, policy, preference, touch

BOTH = campaign(channels=["push", "email"])
EACH = campaign(channels=["push", "email"], strategy="all")
NIGHT = {"id": "night", "scope": {"channels": ["push"]}, "from": "21:00", "to": "08:00"}
CAP = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}


def lines(judged: DecideResult) -> list[tuple[Any, ...]]:
    return [(each.channel, each.outcome, each.reason, each.until) for each in judged.decisions]


def at_night(*touches: TriggeredCampaign, past: Ledger | None = None, **fields: Any) -> DecideResult:
    known = facts(policy(quiet_hours=[NIGHT]), preference(**fields))
    return decide(touches, known, Ledger.empty() if past is None else past, at("02 22:00"))


OFFER = event("02 22:00")
OTHER = ("suppress", "other_channel", None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [("push", *OTHER), ("email", "send", "eligible", None)]),  # the first that may send now
        ({"channel_order": ("email",)}, [("email", "send", "eligible", None), ("push", *OTHER)]),
        ({"channel_order": ("sms", "email")}, [("email", "send", "eligible", None), ("push", *OTHER)]),
        (
            {"opt_outs": (OptOut(channel="email"),)},  # what is denied keeps its own line
            [("push", "defer", "quiet_hours", at("03 08:00")), ("email", "suppress", "opted_out_channel", None)],
        ),
    ],
)
def test_first_keeps_one_channel(fields: Any, expected: list[Any]) -> None:
    assert lines(at_night(touch(BOTH, OFFER), **fields)) == expected


def test_of_those_that_must_wait_the_earliest_is_kept_and_a_parked_one_comes_last() -> None:
    email = HoldFact("mail", "defer", 0, at("02 23:00"), MessageScope(channels=frozenset({"email"})))
    push = HoldFact("push", "defer", 0, None, MessageScope(channels=frozenset({"push"})))
    both = facts(holds=(email, push))
    assert lines(decide([touch(BOTH)], both, Ledger.empty(), at("02 10:00"))) == [
        ("push", *OTHER),
        ("email", "defer", "incident_hold", at("02 23:00")),
    ]
    alone = facts(chosen=preference(opt_outs=(OptOut(channel="email"),)), holds=(push,))
    judged = decide([touch(BOTH)], alone, Ledger.empty(), at("02 10:00"))
    assert lines(judged)[0] == ("push", "defer", "incident_hold", None)
    assert len(judged.ledger) == 0  # nothing is planned
    assert judged.planned[0].parked is not None
    assert judged.planned[0].parked.holds == ("push",)
    assert judged.planned[0].first_planned is None


def test_all_judges_each_channel_on_its_own() -> None:
    judged = at_night(touch(EACH, OFFER))
    assert sorted(lines(judged)) == [
        ("email", "send", "eligible", None),
        ("push", "defer", "quiet_hours", at("03 08:00")),
    ]
    assert sorted((each.at, each.attributes.channel) for each in judged.ledger) == [
        (at("02 22:00"), "email"),
        (at("03 08:00"), "push"),
    ]


def test_candidates_of_one_event_are_judged_in_order_of_rank() -> None:
    caps = policy(frequency_caps=[{**CAP, "on_exceed": "drop"}])
    gamma, beta, alpha = campaign("gamma", priority=60), campaign("beta"), campaign("alpha")
    judged = decide([touch(each) for each in (beta, alpha, gamma)], facts(caps), Ledger.empty(), at("02 10:00"))
    assert [(each.campaign, each.outcome, each.reason) for each in judged.decisions] == [
        ("gamma", "send", "eligible"),
        ("alpha", "suppress", "lower_priority"),
        ("beta", "suppress", "lower_priority"),
    ]
    assert {each.lost_to for each in judged.decisions[1:]} == {judged.decisions[0].message_id}
    assert judged.decisions[1].rule_id == "cap"


def test_a_deferred_choice_moves_to_another_channel_and_keeps_its_seniority() -> None:
    waits = at_night(touch(BOTH, OFFER), opt_outs=(OptOut(channel="email"),))
    planned = waits.planned[0]
    assert (planned.channel, planned.first_planned, planned.until) == ("push", at("02 22:00"), at("03 08:00"))
    push_off = preference(opt_outs=(OptOut(channel="push"),))
    held = facts(chosen=push_off, holds=(HoldFact("mail", "defer", 0, at("03 12:00")),))
    again = decide([planned.triggered], held, waits.ledger, at("03 08:00"))
    assert again.ended_message_ids == (planned.message_id,)
    assert [(each.attributes.channel, each.at, each.first_planned) for each in again.ledger] == [
        ("email", at("03 12:00"), at("02 22:00"))
    ]
    assert again.planned[0].first_planned == at("02 22:00")


def test_what_is_suppressed_on_its_turn_leaves_the_ledger() -> None:
    waits = at_night(touch(EACH, OFFER))
    push = next(each for each in waits.planned if each.channel == "push")
    turn = TriggeredCampaign(OFFER, {}, EACH, first_planned=push.first_planned, channels=("push",))
    again = decide([turn], facts(chosen=preference(opt_outs=(OptOut(all=True),))), waits.ledger, at("03 08:00"))
    assert again.ended_message_ids == (push.message_id,)
    assert [each.attributes.channel for each in again.ledger] == ["email"]


@pytest.mark.parametrize(("delivered", "state"), [(False, "planned"), (True, "made")])
def test_what_is_sent_is_planned_at_its_decision_time_until_the_mark(delivered: bool, state: str) -> None:
    judged = decide([touch()], facts(), Ledger.empty(), at("02 10:00"), count_sent_as_made=delivered)
    assert [(each.at, each.first_planned, each.state) for each in judged.ledger] == [
        (at("02 10:00"), at("02 10:00"), state)
    ]


def test_worked_example_7_an_urgent_message_passes_planned_ones() -> None:
    tip, recall = campaign("tip", priority=40), campaign("recall", priority=80)
    siesta = {"id": "siesta", "scope": {"campaigns": ["tip"]}, "days": ["mon"], "from": "11:00", "to": "14:00"}
    known = facts(policy(frequency_caps=[CAP], quiet_hours=[siesta]))
    first = decide([touch(tip, event("02 11:00", "e-tip"))], known, Ledger.empty(), at("02 11:00"))
    assert lines(first) == [("email", "defer", "quiet_hours", at("02 14:00"))]
    urgent = touch(recall, event("02 12:00", "e-recall"))
    second = decide([urgent], known, first.ledger, at("02 12:00"), count_sent_as_made=True)
    assert lines(second) == [("email", "send", "eligible", None)]
    third = decide([first.planned[0].triggered], known, second.ledger, at("02 14:00"))
    assert lines(third) == [("email", "defer", "cap_window", at("03 12:00"))]


def test_worked_example_7_the_other_way_round() -> None:
    tip, recall = campaign("tip", priority=40), campaign("recall", priority=80)
    past = ledger(contact("02 14:00", of=recall, state="planned", since="02 11:00"))
    judged = decide([touch(tip, event("02 12:00"))], facts(policy(frequency_caps=[CAP])), past, at("02 12:00"))
    assert lines(judged) == [("email", "defer", "cap_window", at("03 14:00"))]


def test_worked_example_8_late_wake_ups_do_not_defer_each_other() -> None:
    known = facts(policy(frequency_caps=[CAP]))
    a, b = campaign("a"), campaign("b")
    past = ledger(
        contact("03 09:00", of=a, event_id="e-a", state="planned", since="02 10:00"),
        contact("04 09:00", of=b, event_id="e-b", state="planned", since="02 11:00"),
    )
    late = at("03 09:00") + 300_000
    first = decide([touch(a, event("02 10:00", "e-a"))], known, past, late, count_sent_as_made=True)
    assert lines(first) == [("email", "send", "eligible", None)]
    second = decide([touch(b, event("02 11:00", "e-b"))], known, first.ledger, at("04 09:00"))
    assert lines(second) == [("email", "defer", "cap_window", at("04 09:00") + 300_000)]


def test_a_broken_trigger_fails_on_every_channel_whatever_fails_open() -> None:
    receipt = campaign("receipt", cls="transactional", topic=None, channels=["email", "push"])
    known = facts(policy(fail_open=["receipt"]))
    judged = decide([touch(receipt, condition_failure={})], known, Ledger.empty(), at("02 10:00"))
    assert lines(judged) == [(each, "fail", "policy_unavailable", None) for each in ("email", "push")]
    assert judged.planned == ()


def test_a_decision_carries_its_versions_and_the_event() -> None:
    line = decide([touch()], facts(), Ledger.empty(), at("02 10:00")).decisions[0]
    assert (line.version, line.policy_version, line.preference_version) == (1, 1, 1)
    assert (line.event.id, line.event.time, line.customer) == ("e-1", at("02 10:00"), "c-1")
    assert (line.cls, line.intent, line.topic, line.priority) == ("marketing", "advertise", "news", 50)


def test_of_one_campaign_and_seniority_the_message_of_the_chosen_channel_tells_who_goes_first() -> None:
    def raw(of: str, channel: str) -> str:
        return compute_message_id("c-1", "/shop", of, BOTH.key, channel)

    pairs = ((f"e-{one}", f"e-{two}") for one in range(9) for two in range(9))
    first, second = next(
        (one, two)
        for one, two in pairs
        if raw(one, "email") < raw(two, "email") and raw(one, "push") > raw(two, "push")
    )
    past = ledger(
        *(
            contact("02 10:00", of=BOTH, event_id=each, channel="email", state="planned", since="01 10:00")
            for each in (first, second)
        )
    )
    turns = [touch(BOTH, event("01 10:00", each)) for each in (second, first)]
    judged = decide(turns, facts(policy(frequency_caps=[CAP])), past, at("02 10:00"))
    assert [each.event.id for each in judged.decisions] == [first] * 2 + [second] * 2


def test_seniority_comes_before_the_key_of_the_campaign() -> None:
    alpha, beta = campaign("alpha"), campaign("beta")
    past = ledger(
        contact("02 10:00", of=alpha, event_id="e-1", state="planned", since="01 11:00"),
        contact("02 10:00", of=beta, event_id="e-1", state="planned", since="01 10:00"),
    )
    judged = decide([touch(alpha), touch(beta)], facts(), past, at("02 10:00"))
    assert [each.campaign for each in judged.decisions] == ["beta", "alpha"]
    assert judged.ended_message_ids == ()  # both stay planned
    assert {each.first_planned for each in judged.planned} == {at("01 10:00"), at("01 11:00")}


def test_each_message_of_all_keeps_its_own_seniority() -> None:
    past = ledger(
        contact("02 10:00", of=EACH, event_id="e-1", channel="email", state="planned", since="01 10:00"),
        contact("02 10:00", of=EACH, event_id="e-1", channel="push", state="planned", since="01 12:00"),
    )
    judged = decide([touch(EACH)], facts(), past, at("02 10:00"))
    assert {each.attributes.channel: each.first_planned for each in judged.ledger} == {
        "email": at("01 10:00"),
        "push": at("01 12:00"),
    }


def test_a_seniority_that_is_known_is_not_asked_of_the_ledger() -> None:
    past = ledger(contact("02 10:00", of=campaign(), event_id="e-1", state="planned", since="01 12:00"))
    assert [each.first_planned for each in decide([touch(since="01 10:00")], facts(), past, at("02 10:00")).ledger] == [
        at("01 10:00")
    ]


def test_what_was_made_or_belongs_to_another_customer_is_not_given_back() -> None:
    made = contact("02 09:00", of=BOTH, event_id="e-1", channel="push")
    merged = made._replace(message_id=compute_message_id("c-0", "/shop", "e-1", BOTH.key, "push"), state="planned")
    no_push = facts(chosen=preference(opt_outs=(OptOut(channel="push"),)))
    for theirs in (made, merged):
        judged = decide([touch(BOTH)], no_push, ledger(theirs), at("02 10:00"))
        assert judged.ledger.find_contact(theirs.message_id) == theirs
        assert judged.ended_message_ids == ()


def test_a_parked_channel_is_kept_when_the_other_is_denied() -> None:
    parked = HoldFact("mail", "defer", 0, None, MessageScope(channels=frozenset({"email"})))
    known = facts(chosen=preference(opt_outs=(OptOut(channel="push"),)), holds=(parked,))
    assert lines(decide([touch(BOTH)], known, Ledger.empty(), at("02 10:00"))) == [
        ("push", "suppress", "opted_out_channel", None),
        ("email", "defer", "incident_hold", None),
    ]


def test_a_channel_given_up_for_another_waits_for_nothing() -> None:
    parked = HoldFact("push", "defer", 0, None, MessageScope(channels=frozenset({"push"})))
    judged = decide([touch(BOTH)], facts(holds=(parked,)), Ledger.empty(), at("02 10:00"))
    assert [(each.channel, each.rule_id) for each in judged.decisions] == [("push", None), ("email", None)]
    assert [each.channel for each in judged.planned] == ["email"]


def test_unless_told_otherwise_nothing_is_delivered_and_nothing_lies_ahead() -> None:
    now = at("02 10:00")
    assert [each.state for each in decide([touch()], facts(), Ledger.empty(), now).ledger] == ["planned"]
    ahead = facts(entries=(SuppressionEntry(None, None, None, now + 1, None, "stop_keyword"),))
    assert decide([touch()], ahead, Ledger.empty(), now).decisions[0].outcome == "send"
    assert decide([touch()], ahead, Ledger.empty(), now, clock_tolerance=1).decisions[0].reason == "suppression_list"


def test_a_broken_trigger_says_what_it_is_and_stops_nothing_else() -> None:
    judged = decide([touch(condition_failure={}), touch(campaign("other"))], facts(), Ledger.empty(), at("02 10:00"))
    failed, sent = judged.decisions
    assert [(each.rule, each.verdict, each.evidence) for each in failed.verdicts] == [
        ("campaign", "fail", {"trigger": None})
    ]
    assert (sent.campaign, sent.outcome) == ("other", "send")


def test_of_three_channels_the_denied_one_keeps_its_own_line() -> None:
    three = campaign(channels=["push", "sms", "email"])
    judged = at_night(touch(three, OFFER), opt_outs=(OptOut(channel="sms"),))
    assert lines(judged) == [
        ("push", *OTHER),
        ("sms", "suppress", "opted_out_channel", None),
        ("email", "send", "eligible", None),
    ]


def test_what_is_deferred_is_planned_even_where_what_is_sent_is_made() -> None:
    known = facts(policy(quiet_hours=[NIGHT]))
    judged = decide([touch(EACH, OFFER)], known, Ledger.empty(), at("02 22:00"), count_sent_as_made=True)
    assert [(each.attributes.channel, each.state) for each in judged.ledger] == [("email", "made"), ("push", "planned")]
