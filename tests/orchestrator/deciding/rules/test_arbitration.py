from typing import Any

import pytest

from services.orchestrator.deciding.ledger import Contact
from services.orchestrator.deciding.rules import arbitration as rule
from services.orchestrator.deciding.rules import frequency_cap
from tests.orchestrator.deciding.build import (
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

URGENT, MINOR = campaign("urgent", priority=80), campaign("minor", priority=40)
TOP = campaign("top", priority=90)
SINCE = "02 09:00"


def known(limit: int = 1, on_exceed: str = "drop") -> Any:
    cap = {"id": "cap", "limit": limit, "window": {"rolling": "24h"}, "on_exceed": on_exceed}
    return facts(policy(frequency_caps=[cap]))


@pytest.mark.parametrize(
    ("past", "since", "lost_to"),
    [
        ([contact("02 10:00", of=URGENT, event_id="e-1")], None, 0),  # of the same event
        ([contact("02 10:00", of=MINOR, event_id="e-1")], None, None),  # it does not outrank the candidate
        ([contact("02 09:30", of=URGENT)], SINCE, 0),  # made since the candidate was first planned
        ([contact("02 12:00", of=URGENT, state="planned", since="02 09:30")], SINCE, 0),  # or first planned since
        ([contact("02 12:00", of=URGENT, state="planned", since="02 08:00")], SINCE, None),
        ([contact("02 12:00", of=URGENT, state="planned", since=SINCE)], SINCE, None),  # at the same instant
        ([contact("02 09:30", of=URGENT, since="02 08:00")], SINCE, 0),  # made since, though planned before
        ([contact("02 09:30", of=URGENT)], None, None),  # never planned, and another event
        ([contact("02 09:30", of=URGENT, reported=True)], SINCE, None),  # without a rank
        ([contact("02 08:00"), contact("02 09:30", of=URGENT)], SINCE, None),  # the cap was full without it
        ([contact("02 09:20", of=URGENT), contact("02 09:30", of=TOP)], SINCE, 0),  # the lowest-ranked of them
        ([contact("02 09:30", of=TOP), contact("04 09:30", of=URGENT, state="planned")], SINCE, 0),  # too far to matter
    ],
)
def test_the_cap_would_allow_without_those_that_outrank(
    past: list[Contact], since: str | None, lost_to: int | None
) -> None:
    tried = try_on(touch(since=since), known(), ledger(*past))
    found = judged(rule, tried, known())
    cap = judged(frequency_cap, tried, known())
    if lost_to is None:
        assert only(found) == ALLOW
        assert only(cap)[:2] == ("deny", "frequency_cap")
    else:
        assert only(found)[:3] == ("deny", "lower_priority", "cap")
        assert found[0].evidence == {"lost_to": past[lost_to].message_id}
        assert only(cap)[:2] == ("allow", None)


def test_a_cap_that_defers_arbitrates_nothing() -> None:
    past = ledger(contact("02 10:00", of=URGENT, event_id="e-1"))
    assert only(judged(rule, try_on(touch(), known(on_exceed="defer"), past), known(on_exceed="defer"))) == ALLOW


def test_it_tells_when_there_would_be_room() -> None:
    past = ledger(contact("02 10:00", of=URGENT, event_id="e-1"))
    assert only(judged(rule, try_on(touch(), known(), past), known()))[3] == at("03 10:00")
