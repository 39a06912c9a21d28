import pytest

from services.orchestrator.deciding.contacts import Incomplete
from services.orchestrator.deciding.ledger import Ledger
from tests.orchestrator.deciding.build import at, campaign, contact, facts, ledger, policy, touch, try_on

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
    assert list(found.times[ALL]) == [at("02 09:00"), at("02 11:00"), at("02 12:00")]
    assert list(found.times[NAMED]) == [at("02 09:00"), at("02 12:00")]
    assert found.others == []


def test_siblings_count_in_caps_that_name_channels_only() -> None:
    sibling = contact("02 11:00", of=LAUNCH, event_id="e-1", channel="push")
    past = ledger(contact("02 12:00"), sibling)
    found = try_on(touch(LAUNCH), facts(RULES), past).contacts
    assert found.times[ALL] == found.times[GAP] == [at("02 12:00")]
    assert found.times[NAMED] == [at("02 11:00"), at("02 12:00")]
    assert found.made[ALL] == at("02 11:00")
    assert try_on(touch(CHOICE), facts(RULES), past).contacts.times[NAMED] == [at("02 12:00")]


def test_each_kind_is_counted_by_its_own_scope_alone() -> None:
    past = ledger(contact("02 09:00", channel="sms"), contact("02 10:00"), contact("02 11:00", channel="sms"))
    assert try_on(touch(LAUNCH), facts(RULES), past).contacts.times[NAMED] == [at("02 10:00")]


def test_another_event_of_the_campaign_is_no_sibling() -> None:
    found = try_on(touch(LAUNCH), facts(RULES), ledger(contact("02 12:00", of=LAUNCH))).contacts
    assert found.others == list(found.times[ALL]) == [at("02 12:00")]
    assert found.made == {}


def test_at_the_gate_the_time_is_that_of_the_mark() -> None:
    assert try_on(touch(), marked="02 10:00").contacts.time(at("02 10:05")) == at("02 10:00")
    assert try_on(touch()).contacts.time(at("02 10:05")) == at("02 10:05")


def test_looking_further_back_than_the_ledger_reaches_raises() -> None:
    found = try_on(touch(), past=Ledger(complete_from=at("02 00:00"))).contacts
    found.reaches(at("02 00:00"))
    with pytest.raises(Incomplete):
        found.reaches(at("02 00:00") - 1)
