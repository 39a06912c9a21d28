import pytest

from services.orchestrator.policy.counted_contacts import Incomplete
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.rules.min_gap import rule
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

LAUNCH = campaign("launch", strategy="all", channels=["email", "push", "in_app"])
RECEIPT = campaign("receipt", cls="transactional", topic=None)
KNOWN = facts(policy(min_gaps=[{"id": "breath", "gap": "2h"}]))


@pytest.mark.parametrize(
    ("past", "now", "free"),
    [
        ([contact("02 12:00")], "02 10:00", None),  # exactly two hours before
        ([contact("02 12:00")], "02 10:00:01", "02 14:00"),
        ([contact("02 12:00")], "02 14:00", None),
        ([contact("02 12:00")], "02 13:59:59", "02 14:00"),
        ([contact("02 12:00"), contact("02 15:00")], "02 12:30", "02 17:00"),  # between them there is no room
        ([contact("02 12:00"), contact("02 16:00")], "02 12:30", "02 14:00"),  # here there is
        ([contact("02 12:00", of=RECEIPT)], "02 12:00", None),
        ([contact("02 12:00", of=LAUNCH, channel="in_app")], "02 12:00", "02 14:00"),  # no exception for in_app
        ([contact("02 12:00", of=LAUNCH, event_id="e-1", channel="push")], "02 12:00", None),  # a sibling
        ([contact("02 12:00", state="planned")], "02 12:00", "02 14:00"),  # first planned, so the senior
    ],
)
def test_table(past: list[Contact], now: str, free: str | None) -> None:
    found = only(judged(rule, try_on(touch(LAUNCH), KNOWN, ledger(*past)), KNOWN, now))
    assert found == (("allow", None, "breath", None) if free is None else ("defer", "cap_window", "breath", at(free)))


def test_who_is_not_in_scope_is_left_alone() -> None:
    assert only(judged(rule, try_on(touch(RECEIPT), KNOWN, ledger(contact("02 10:00"))), KNOWN)) == ALLOW


def test_a_ledger_that_has_forgotten_too_much_fails_closed() -> None:
    with pytest.raises(Incomplete):
        judged(rule, try_on(touch(), KNOWN, Ledger(complete_from=at("02 09:00"))), KNOWN)


def test_a_refusal_shows_the_nearest_contact() -> None:
    past = ledger(*(contact(each) for each in ("02 08:30", "02 10:45", "02 12:00")))
    assert judged(rule, try_on(touch(), KNOWN, past), KNOWN)[0].evidence == {
        "contact": "2026-03-02T10:45:00Z",
        "gap": "2h",
    }


def test_at_the_gate_the_gap_is_kept_from_the_mark_and_looked_for_no_further_back() -> None:
    past = ledger(contact("02 08:00"))
    assert only(judged(rule, try_on(touch(), KNOWN, past, marked="02 09:59"), KNOWN))[0] == "defer"
    reaches = try_on(touch(), KNOWN, Ledger(complete_from=at("02 07:59")), marked="02 09:59")
    assert only(judged(rule, reaches, KNOWN))[0] == "allow"
