from typing import Any

import pytest

from services.orchestrator.policy.rules.campaign import rule
from tests.support.policy_builders import ALLOW, at, campaign, judged, only, touch, try_on

SEASON: dict[str, Any] = {"start": "2026-03-02T10:00:00Z", "end": "2026-03-04T08:00:00Z"}


@pytest.mark.parametrize(
    ("now", "until", "allowed"),
    [
        ("02 09:59:59", "02 10:00", False),  # before the start, which tells when it would be allowed
        ("02 10:00", None, True),  # the start is inclusive
        ("04 07:59:59", None, True),
        ("04 08:00", None, False),  # the end is exclusive, and nothing comes after it
    ],
)
def test_start_is_inclusive_and_end_exclusive(now: str, until: str | None, allowed: bool) -> None:
    found = only(judged(rule, try_on(touch(campaign(**SEASON))), now=now))
    refused = ("deny", "campaign_inactive", None, None if until is None else at(until))
    assert found == (ALLOW if allowed else refused)


def test_a_paused_or_stopped_campaign_is_denied() -> None:
    assert only(judged(rule, try_on(touch(campaign(active=False)))))[:2] == ("deny", "campaign_inactive")


def test_a_refusal_says_what_stands_against_it() -> None:
    season = try_on(touch(campaign(**SEASON)))
    assert judged(rule, try_on(touch(campaign(active=False))))[0].evidence == {"active": False}
    assert judged(rule, season, now="02 09:00")[0].evidence == {"start": "2026-03-02T10:00:00Z"}
    assert judged(rule, season, now="05 10:00")[0].evidence == {"end": "2026-03-04T08:00:00Z"}
