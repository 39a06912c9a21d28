"""Which worlds are judged."""

from services.orchestrator.insight.shadow.variants import build_variants
from services.orchestrator.policy.match import Catalogue
from tests.support.shadow_builders import campaign, catalogue, newer, policy


def test_nothing_in_shadow_is_no_world() -> None:
    assert build_variants(Catalogue({}, policy(), frozenset())) == ()


def test_each_version_has_its_world_and_each_campaign_one_more_under_the_policy() -> None:
    found = build_variants(catalogue(campaign(), watched=[newer(campaign()), campaign("new")], rules=policy()))
    assert [(world.shadow.noun, world.key, world.policy is not None, world.has_live) for world in found] == [
        ("policy", None, True, True),
        ("campaign", "offer", False, True),
        ("policy", "offer", True, False),
        ("campaign", "new", False, False),
        ("policy", "new", True, False),
    ]


def test_events_of_a_campaign_in_shadow_are_wanted() -> None:
    found = catalogue(watched=[campaign()])
    assert found.is_triggered_by("shop.offer") and not found.is_triggered_by("shop.else")
    assert found.by_event == {}, "they trigger nothing live"
