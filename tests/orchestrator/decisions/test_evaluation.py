"""One customer is evaluated: what is ready, deferred, ended and planned, and what the modes change."""

from typing import Any

import msgspec
import pytest

from schemas.decision import Decision, to_document
from schemas.facts import SuppressionEntry
from schemas.message import Message
from schemas.times import HOUR, MINUTE
from services.orchestrator.decisions.evaluation import (
    LIVE,
    RELEASE_PLAN,
    REPLAY_TAKEN_BACK,
    TAKEN_BACK,
    CustomerEvaluation,
    EvaluationMode,
    EvaluationRequest,
    evaluate_customer,
)
from services.orchestrator.decisions.store import EMPTY_LEDGER, VersionedLedger
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.policy.horizon import MAX_UNTRIMMED_CONTACTS
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.template import RenderError
from tests.support.policy_builders import at, campaign, contact, event, facts, ledger, policy, touch
from tests.support.shadow_builders import rendered

NOW = at("02 10:00")
CAP = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
CAPPED = facts(policy(frequency_caps=[CAP]))


def evaluate(
    *triggered: TriggeredCampaign,
    known: Facts | None = None,
    base: Ledger | None = None,
    mode: EvaluationMode = LIVE,
    expected: dict[str, str] | None = None,
    render: Any = rendered,
) -> CustomerEvaluation:
    requests = [EvaluationRequest(triggered_campaigns=(each,), expected_states=expected) for each in triggered]
    on = EMPTY_LEDGER if base is None else VersionedLedger(3, base)
    return evaluate_customer("c-1", known or facts(), requests, on, NOW, BEGINNING_OF_TIME, render, mode)


def outcomes(evaluation: CustomerEvaluation) -> list[tuple[str, str]]:
    return [(each.outcome, each.reason) for each in evaluation.decisions]


def test_a_ready_message_is_rendered_and_its_contact_planned() -> None:
    found = evaluate(touch())
    (ready,) = found.ready_messages
    assert isinstance(ready.message, Message)
    assert ready.message.id == ready.planned.message_id == ready.decision.message_id
    assert [each.state for each in found.ledger] == ["planned"]
    assert found.writes_ledger


def test_each_request_sees_the_contacts_of_those_before_it() -> None:
    found = evaluate(touch(), touch(when=event(id="e-2")), known=CAPPED)
    assert outcomes(found) == [("send", "eligible"), ("defer", "cap_window")]
    assert (len(found.ready_messages), len(found.deferred_messages)) == (1, 1)


def test_what_cannot_be_rendered_fails_and_gives_its_place_up() -> None:
    def broken(planned: PlannedMessage, *_: Any) -> Message:
        error = RenderError("undefined", "no nickname", field="text", place=(2, 7), variable="customer.traits.nick")
        error.locate("/content/sms/en")
        raise error

    found = evaluate(touch(), render=broken)
    assert outcomes(found) == [("fail", "render_error")]
    assert (found.ready_messages, len(found.ledger), found.decisions[0].rule_id) == ([], 0, "undefined")
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(found.decisions[0]), type=Decision)
    failure = to_document(stored)["failure"]
    assert (failure["pointer"], failure["line"], failure["column"]) == ("/content/sms/en/text", 2, 7)
    assert (failure["variable"], failure["detail"]) == ("customer.traits.nick", "no nickname")


def test_a_decision_stored_without_a_failure_is_still_read() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(evaluate(touch()).decisions[0]))[:-1]
    assert msgspec.convert(fields, Decision).failure is None


def test_without_rendering_decisions_are_made_and_nothing_is_ready() -> None:
    found = evaluate(touch(), render=None)
    assert (outcomes(found), found.ready_messages) == ([("send", "eligible")], [])


def test_a_waiting_message_that_may_not_go_ends_with_its_reason() -> None:
    stopped = touch(campaign(active=False))
    message_id = stopped.message_id("email")
    found = evaluate(stopped, expected={message_id: "planned"})
    assert found.final_outcomes == {message_id: ("suppress", "campaign_inactive")}
    assert found.expected_states == {message_id: "planned"}
    assert found.writes_ledger, "the message's state must be checked under the lock"


def test_a_waiting_message_whose_channel_is_not_chosen_any_more_ends() -> None:
    chosen = touch(campaign(channels=["email", "push"]))
    other = chosen.message_id("sms")
    assert evaluate(chosen, expected={other: "planned"}).final_outcomes == {other: ("suppress", "other_channel")}


def test_a_message_that_a_recheck_took_back_is_planned_again_on_the_ledger_that_has_it_made() -> None:
    own = touch()
    made = evaluate(own).ledger.claim_contact(own.message_id("email"), NOW)
    expected = {own.message_id("email"): "handing_over"}
    taken_back = evaluate(own, known=CAPPED, base=made, mode=TAKEN_BACK, expected=expected)
    assert [each.state for each in taken_back.ledger] == ["planned"]
    assert outcomes(taken_back) == [("send", "eligible")]
    assert taken_back.base.ledger is made


def test_an_entry_that_begins_a_little_later_counts_when_a_recheck_took_a_message_back() -> None:
    ahead = facts(entries=(SuppressionEntry(None, None, None, NOW + MINUTE, None, "stop_keyword"),))
    for mode, outcome in ((LIVE, "send"), (TAKEN_BACK, "suppress"), (REPLAY_TAKEN_BACK, "suppress")):
        assert evaluate(touch(), known=ahead, mode=mode).decisions[0].outcome == outcome


def test_in_a_release_plan_what_is_sent_counts_as_made() -> None:
    first = evaluate(touch(), mode=RELEASE_PLAN)
    assert [each.state for each in first.ledger] == ["made"]
    higher = touch(campaign("other", priority=90), event(id="e-2", type="shop.other"))
    assert outcomes(evaluate(higher, known=CAPPED, base=first.ledger)) == [("defer", "cap_window")]


def test_a_reported_contact_is_noted_and_decides_nothing() -> None:
    request = EvaluationRequest(reported_contact=contact("02 09:00", reported=True))
    found = evaluate_customer("c-1", facts(), [request], EMPTY_LEDGER, NOW, 0, rendered)
    assert (len(found.ledger), found.decisions) == (1, [])


def test_a_long_ledger_drops_what_no_rule_looks_back_at() -> None:
    many = ledger(*(contact(f"01 {n // 60:02}:{n % 60:02}") for n in range(MAX_UNTRIMMED_CONTACTS + 1)))
    request = EvaluationRequest(triggered_campaigns=(touch(),))
    found = evaluate_customer("c-1", facts(), [request], VersionedLedger(1, many), NOW, NOW - HOUR, rendered)
    assert (len(found.ledger), found.ledger.complete_from) == (1, NOW - HOUR)


@pytest.mark.parametrize("old", [0, 1, 8, 9, 40])
def test_a_long_ledger_is_trimmed_only_when_an_eighth_of_it_is_old(old: int) -> None:
    recent = MAX_UNTRIMMED_CONTACTS - old
    many = [contact(f"01 00:{n:02}") for n in range(old)] + [
        contact(f"02 09:{n % 60:02}", event_id=f"e-{n}") for n in range(recent)
    ]
    request = EvaluationRequest(triggered_campaigns=(touch(),))
    found = evaluate_customer("c-1", facts(), [request], VersionedLedger(1, ledger(*many)), NOW, NOW - HOUR, rendered)
    assert len(found.ledger) == (recent + 1 if old >= 9 else MAX_UNTRIMMED_CONTACTS + 1)
    assert (found.ledger.complete_from == NOW - HOUR) is (old >= 9)
