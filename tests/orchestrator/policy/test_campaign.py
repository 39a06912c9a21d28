from schemas.times import DAY
from services.orchestrator.policy.scope import Kind
from tests.orchestrator.policy.build import campaign, vip


def test_a_document_becomes_ready_to_judge() -> None:
    found = campaign(
        channels=["push", "email"],
        strategy="all",
        reentry="every 2d",
        ttl="3d",
        audience="vip",
        trigger={"event": "shop.x", "when": "vip"},
    )
    assert (found.event, found.channels, found.together, found.ttl) == ("shop.x", ("push", "email"), True, 3 * DAY)
    assert (found.once, found.every) == (False, 2 * DAY)
    assert (found.when, found.audience) == (vip, vip)
    assert found.kinds["push"] == Kind("offer", "news", "push", "marketing", "advertise")


def test_what_is_absent_is_none() -> None:
    found = campaign(reentry="once")
    assert (found.once, found.every, found.when, found.audience, found.together) == (True, None, None, None, False)


def test_fallback_is_judged_like_first() -> None:
    assert not campaign(strategy="fallback", fallback_after="30m", channels=["push", "email"]).together
