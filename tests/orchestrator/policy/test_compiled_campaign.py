from schemas.times import DAY
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.policy_builders import campaign, vip


def test_a_document_becomes_ready_to_judge() -> None:
    found = campaign(
        channels=["push", "email"],
        strategy="all",
        reentry="every 2d",
        ttl="3d",
        audience="vip",
        trigger={"event": "shop.x", "when": "vip"},
    )
    assert (found.event_type, found.channels, found.sends_on_all_channels, found.ttl) == (
        "shop.x",
        ("push", "email"),
        True,
        3 * DAY,
    )
    assert (found.reentry_once, found.reentry_every) == (False, 2 * DAY)
    assert (found.trigger_condition, found.audience_condition) == (vip, vip)
    assert found.attributes_by_channel["push"] == MessageAttributes("offer", "news", "push", "marketing", "advertise")


def test_what_is_absent_is_none() -> None:
    found = campaign(reentry="once")
    assert (
        found.reentry_once,
        found.reentry_every,
        found.trigger_condition,
        found.audience_condition,
        found.sends_on_all_channels,
    ) == (True, None, None, None, False)


def test_fallback_is_judged_like_first() -> None:
    assert not campaign(strategy="fallback", fallback_after="30m", channels=["push", "email"]).sends_on_all_channels
