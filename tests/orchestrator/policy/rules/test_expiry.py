import pytest

from services.orchestrator.policy.rules.expiry import rule
from tests.support.policy_builders import campaign, event, judged, only, touch, try_on


@pytest.mark.parametrize(
    ("expires", "now", "verdict"),
    [
        (None, "02 11:59:59", "allow"),
        (None, "02 12:00", "deny"),  # at `expires_at` it is too late
        ("02 11:00", "02 11:00", "deny"),  # the event's own expiry is the earlier one
        ("02 11:00", "02 10:59:59", "allow"),
        ("03 11:00", "02 12:00", "deny"),  # the ttl is the earlier one
    ],
)
def test_the_earlier_of_ttl_and_expirytime_ends_it(expires: str | None, now: str, verdict: str) -> None:
    tried = try_on(touch(campaign(ttl="2h"), event("02 10:00", expires=expires)))
    assert only(judged(rule, tried, now=now)) == (verdict, "expired" if verdict == "deny" else None, None, None)


def test_a_refusal_says_when_it_expired() -> None:
    tried = try_on(touch(campaign(ttl="2h"), event("02 10:00")))
    assert judged(rule, tried, now="02 13:00")[0].evidence == {"expires_at": "2026-03-02T12:00:00Z"}
