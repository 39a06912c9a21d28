import pytest

from services.orchestrator.policy.counted_contacts import Incomplete
from services.orchestrator.policy.ledger import Ledger
from tests.support.policy_builders import at, campaign, contact, facts, ledger, policy, touch, try_on

CAP = {"limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
RULES = policy(
    frequency_caps=[{"id": "all", **CAP}, {"id": "named", "scope": {"channels": ["email", "push"]}, **CAP}],
    min_gaps=[{"id": "gap", "gap": "1h"}],
)
(ALL, NAMED), GAP = (cap.slot for cap in RULES.caps), RULES.gaps[0].slot
LAUNCH = campaign("launch", strategy="all", channels=["email", "push"])
CHOICE = campaign("launch", channels=["email", "push"])


def test_times_are_ascending_in_every_slot_that_counts_them() -> None:
    past = ledger(contact("02 12:00"), contact("02 09:00"), contact("02 11:00", channel="sms"))
    found = try_on(touch(LAUNCH), facts(RULES), past).contacts
    assert list(found.times_by_slot[ALL]) == [at("02 09:00"), at("02 11:00"), at("02 12:00")]
    assert list(found.times_by_slot[NAMED]) == [at("02 09:00"), at("02 12:00")]
    assert found.same_campaign_times == []


def test_siblings_count_in_caps_that_name_channels_only() -> None:
    sibling = contact("02 11:00", of=LAUNCH, event_id="e-1", channel="push")
    past = ledger(contact("02 12:00"), sibling)
    found = try_on(touch(LAUNCH), facts(RULES), past).contacts
    assert found.times_by_slot[ALL] == found.times_by_slot[GAP] == [at("02 12:00")]
    assert found.times_by_slot[NAMED] == [at("02 11:00"), at("02 12:00")]
    assert found.sibling_made_at[ALL] == at("02 11:00")
    assert try_on(touch(CHOICE), facts(RULES), past).contacts.times_by_slot[NAMED] == [at("02 12:00")]


def test_each_kind_is_counted_by_its_own_scope_alone() -> None:
    past = ledger(contact("02 09:00", channel="sms"), contact("02 10:00"), contact("02 11:00", channel="sms"))
    assert try_on(touch(LAUNCH), facts(RULES), past).contacts.times_by_slot[NAMED] == [at("02 10:00")]


def test_another_event_of_the_campaign_is_no_sibling() -> None:
    found = try_on(touch(LAUNCH), facts(RULES), ledger(contact("02 12:00", of=LAUNCH))).contacts
    assert found.same_campaign_times == list(found.times_by_slot[ALL]) == [at("02 12:00")]
    assert found.sibling_made_at == {}


def test_at_the_gate_the_time_is_that_of_the_mark() -> None:
    assert try_on(touch(), marked="02 10:00").contacts.evaluation_time(at("02 10:05")) == at("02 10:00")
    assert try_on(touch()).contacts.evaluation_time(at("02 10:05")) == at("02 10:05")


def test_looking_further_back_than_the_ledger_reaches_raises() -> None:
    found = try_on(touch(), past=Ledger(complete_from=at("02 00:00"))).contacts
    found.require_complete_since(at("02 00:00"))
    with pytest.raises(Incomplete):
        found.require_complete_since(at("02 00:00") - 1)


def test_others_are_those_of_the_campaign_alone_that_count() -> None:
    own = contact("02 11:00", of=LAUNCH, event_id="e-1", channel="push")
    past = ledger(contact("02 09:00"), contact("02 10:00", of=LAUNCH), own, contact("02 12:00", of=LAUNCH))
    assert try_on(touch(LAUNCH), facts(RULES), past).contacts.same_campaign_times == [at("02 10:00"), at("02 12:00")]


def test_at_the_gate_a_message_of_all_does_not_count_itself() -> None:
    own = contact("02 10:00", of=LAUNCH, event_id="e-1", state="made")
    sibling = contact("02 09:00", of=LAUNCH, event_id="e-1", channel="push")
    found = try_on(touch(LAUNCH), facts(RULES), ledger(sibling, own), marked="02 10:00").contacts
    assert list(found.times_by_slot[NAMED]) == [at("02 09:00")]
    assert found.sibling_made_at[ALL] == at("02 09:00")


def test_siblings_count_in_the_slots_that_cover_them_alone() -> None:
    rules = policy(
        frequency_caps=[
            {"id": "email", "scope": {"channels": ["email"]}, **CAP},
            {"id": "both", "scope": {"channels": ["email", "push"]}, **CAP},
            {"id": "launch", "scope": {"campaigns": ["launch"]}, **CAP},
            {"id": "topic", "scope": {"topics": ["account"]}, **CAP},
        ]
    )
    email, both, launch, topic = (cap.slot for cap in rules.caps)
    push = contact("02 11:00", of=LAUNCH, event_id="e-1", channel="push")
    found = try_on(touch(LAUNCH), facts(rules), ledger(push)).contacts
    assert (list(found.times_by_slot[email]), found.times_by_slot[both]) == ([], [at("02 11:00")])
    assert launch in found.sibling_made_at
    assert email not in found.sibling_made_at and topic not in found.sibling_made_at


def test_of_several_siblings_the_first_one_made_matters() -> None:
    of = campaign("launch", strategy="all", channels=["email", "push", "sms"])
    siblings = [
        contact(time, of=of, event_id="e-1", channel=channel)
        for time, channel in (("02 09:00", "push"), ("02 08:00", "sms"))
    ]
    assert try_on(touch(of), facts(RULES), ledger(*siblings)).contacts.sibling_made_at[ALL] == at("02 08:00")
