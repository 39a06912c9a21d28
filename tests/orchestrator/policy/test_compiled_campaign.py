from schemas.times import DAY, MINUTE
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


def test_a_campaign_that_falls_back_waits_so_long() -> None:
    found = campaign(strategy="fallback", fallback_after="30m", channels=["push", "email"])
    assert (found.fallback_after, found.sends_on_all_channels) == (30 * MINUTE, False)
    assert campaign(channels=["push", "email"]).fallback_after is None
