import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from schemas.facts import SuppressionEntry
from schemas.permission import CLOCK_TOLERANCE
from schemas.times import MINUTE
from services.orchestrator.policy.candidate import AudienceCheck, build_candidate
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.policy_builders import at, campaign, event, facts, policy, preference, touch, try_on


class Asked:
    """A condition that remembers what it was asked."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.seen: list[Mapping[str, Any]] = []

    def __call__(self, variables: Mapping[str, Any], /) -> bool:
        self.seen.append(variables)
        if "broken" in variables["event"]["data"]:
            raise TypeError("broken")
        return self.answer

    def missing_variable(self, variables: Mapping[str, Any], /) -> str | None:
        return None if self.answer else "customer.traits.vip"


@pytest.mark.parametrize("answer", [True, False])
def test_the_audience_is_asked_once_with_event_and_customer(answer: bool) -> None:
    condition = Asked(answer)
    of = msgspec.structs.replace(touch(), data={"total": 1}, campaign=_with(condition))
    audience = AudienceCheck(of, facts(chosen=preference({"vip": True})))
    assert [audience.matches() for _ in range(3)] == [answer] * 3
    assert audience.missing_variable == (None if answer else "customer.traits.vip")
    (seen,) = condition.seen
    assert seen["event"] == {"type": "shop.offer", "time": at("02 10:00"), "data": {"total": 1}}
    assert seen["customer"]["traits"] == {"vip": True}


def test_what_the_condition_raises_is_raised_again_without_asking() -> None:
    condition = Asked(True)
    audience = AudienceCheck(msgspec.structs.replace(touch(), data={"broken": 1}, campaign=_with(condition)), facts())
    for _ in range(2):
        with pytest.raises(TypeError):
            audience.matches()
    assert len(condition.seen) == 1


def _with(condition: Asked) -> Any:
    return dataclasses.replace(campaign(), audience_condition=condition)


def test_a_channel_that_the_campaign_has_no_more_keeps_the_attributes_of_the_campaign() -> None:
    of = campaign(channels=["email"])
    known = facts()
    found = build_candidate(touch(of), "push", known, Ledger.empty(), AudienceCheck(touch(of), known))
    assert found.attributes == MessageAttributes("offer", "news", "push", "marketing", "advertise")
    assert (found.clock_tolerance, found.contacts.claimed_at, found.contacts.view.is_recheck) == (0, None, False)
    assert try_on(touch(of), marked="02 10:00").contacts.view.is_recheck


def test_it_knows_its_customer_message_and_seniority() -> None:
    of = touch(campaign(channels=["email", "push"], strategy="all"), first_planned_by_channel={"push": at("01 10:00")})
    push, email = try_on(of, channel="push"), try_on(of)
    assert (push.customer, push.message_id, push.first_planned) == ("c-1", of.message_id("push"), at("01 10:00"))
    assert (email.message_id, email.first_planned) == (of.message_id("email"), None)
    assert push.message_id != email.message_id


@pytest.mark.parametrize(
    ("cls", "named", "opens"),
    [("transactional", True, True), ("transactional", False, False), ("service", True, False)],
)
def test_only_a_named_transactional_campaign_fails_open(cls: str, named: bool, opens: bool) -> None:
    known = facts(policy(fail_open=["receipt"] if named else []))
    assert try_on(touch(campaign("receipt", cls=cls)), known).fails_open(known) is opens


def test_at_the_gate_entries_count_up_to_five_minutes_ahead() -> None:
    assert CLOCK_TOLERANCE == 5 * MINUTE
    now, kind = at("02 10:00"), try_on(touch()).attributes
    known = facts(entries=(SuppressionEntry(None, None, None, now + CLOCK_TOLERANCE, None, "manual"),))
    assert known.live_suppressions(kind, now, CLOCK_TOLERANCE)
    assert not known.live_suppressions(kind, now, CLOCK_TOLERANCE - 1)
    assert not known.live_suppressions(kind, now)


def test_a_touch_of_a_choice_has_one_seniority_and_of_all_one_for_each_message() -> None:
    choice = touch(
        campaign(channels=["email", "push"]), event(), since="01 10:00", first_planned_by_channel={"push": 1}
    )
    each = touch(
        campaign(channels=["email", "push"], strategy="all"),
        event(),
        since="01 10:00",
        first_planned_by_channel={"push": 1},
    )
    assert [choice.first_planned_on(channel) for channel in choice.channels] == [at("01 10:00")] * 2
    assert [each.first_planned_on(channel) for channel in each.channels] == [at("01 10:00"), 1]
