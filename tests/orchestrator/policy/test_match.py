import dataclasses
from typing import Any

from schemas.ids import compute_message_id
from services.orchestrator.policy.candidate import AudienceCheck
from services.orchestrator.policy.match import (
    Catalogue,
    ShadowVersions,
    TriggeredCampaign,
    condition_variables,
    customer_variables,
    match_campaigns,
    match_in_steps,
)
from services.orchestrator.policy.steps import finish
from tests.support.policy_builders import at, campaign, event, facts, policy, preference

OPEN = campaign("open", trigger={"event": "shop.x"})
VIP = campaign("vip", trigger={"event": "shop.x", "when": "vip"})
BROKEN = campaign("broken", trigger={"event": "shop.x", "when": "broken"})
PAUSED = campaign("paused", active=False, trigger={"event": "shop.y"})
CATALOGUE = Catalogue({each.key: each for each in (OPEN, VIP, BROKEN, PAUSED)}, policy(), frozenset({"email"}))


def customer(**traits: bool) -> dict[str, Any]:
    return customer_variables(preference(traits))


def keys(type: str, **traits: bool) -> list[tuple[str, bool]]:
    found = match_campaigns(event(type=type), {}, customer(**traits), CATALOGUE)
    return [(touch.campaign.key, touch.condition_failure is not None) for touch in found]


def test_an_event_touches_the_campaigns_whose_trigger_it_meets() -> None:
    assert keys("shop.x") == [("open", False), ("broken", True)]
    assert keys("shop.x", vip=True) == [("open", False), ("vip", False), ("broken", True)]
    assert keys("shop.z") == []


def test_paused_campaigns_are_wanted_too_for_their_decision() -> None:
    assert keys("shop.y") == [("paused", False)]
    assert CATALOGUE.is_triggered_by("shop.y")
    assert not CATALOGUE.is_triggered_by("shop.z")


def test_a_touch_knows_its_expiry_and_its_messages() -> None:
    touch = match_campaigns(event("02 10:00", expires="02 12:00", type="shop.x"), {}, customer(), CATALOGUE)[0]
    assert touch.expires_at == at("02 12:00")
    assert touch.message_id("email") == compute_message_id("c-1", "/shop", "e-1", "open", "email")
    assert touch.channels == ("email",)


def test_conditions_see_event_and_customer() -> None:
    customer = {"id": "c-1", "traits": {"vip": True}, "locale": None, "country": "DE", "zone": "Etc/UTC"}
    seen = condition_variables(event(), {"total": 1}, customer)
    assert seen == {"event": {"type": "shop.offer", "time": at("02 10:00"), "data": {"total": 1}}, "customer": customer}


def test_shadows_make_an_event_wanted() -> None:
    shadows = ShadowVersions({"dark": campaign("dark", trigger={"event": "shop.dark"})})
    assert shadows.event_types == {"shop.dark"}
    both = Catalogue({"open": OPEN}, policy(), frozenset(), shadows)
    assert [both.is_triggered_by(each) for each in ("shop.x", "shop.dark", "shop.z")] == [True, True, False]


def test_a_touch_carries_event_and_data_and_its_expiry_is_the_earlier() -> None:
    found = match_campaigns(event("02 10:00", expires="28 12:00", type="shop.x"), {"total": 1}, customer(), CATALOGUE)[
        0
    ]
    assert (found.data, found.event.id, found.first_planned, dict(found.first_planned_by_channel)) == (
        {"total": 1},
        "e-1",
        None,
        {},
    )
    assert found.expires_at == at("02 10:00") + found.campaign.ttl
    late = match_campaigns(event("02 10:00", type="shop.x"), {}, customer(), CATALOGUE)[0]
    assert late.expires_at == at("02 10:00") + late.campaign.ttl
    assert late.message_id("email") is late.message_id("email")
    assert late.message_id("email") != late.message_id("push")


def test_conditions_see_what_the_customer_chose() -> None:
    chosen = preference({"vip": True}, locale="de", country="DE")
    assert customer_variables(chosen) == {
        "id": "c-1",
        "traits": {"vip": True},
        "locale": "de",
        "country": "DE",
        "zone": "Etc/UTC",
    }


def test_only_true_meets_a_condition() -> None:
    odd = dataclasses.replace(VIP, trigger_condition=lambda _: 1)  # type: ignore[arg-type]
    catalogue = Catalogue({"odd": odd}, policy(), frozenset())
    assert match_campaigns(event(type="shop.x"), {}, customer(), catalogue) == []


def test_audiences_that_are_evaluated_with_the_triggers_say_what_they_would_say_later() -> None:
    audiences = [None, "vip", "broken"]
    campaigns = {
        f"c{number}": campaign(f"c{number}", trigger={"event": "shop.x"}, audience=audience)
        for number, audience in enumerate(audiences)
    }
    known = facts(chosen=preference({"vip": False}))
    catalogue = Catalogue(campaigns, known.policy, frozenset({"email"}))
    steps = match_in_steps(event(type="shop.x"), {}, known.customer_values, catalogue, with_audience=True)
    early = finish(steps)
    late = match_campaigns(event(type="shop.x"), {}, known.customer_values, catalogue)
    assert [touch.audience is None for touch in early] == [True, False, False]
    assert [touch.audience for touch in late] == [None, None, None]

    def verdict(triggered: TriggeredCampaign) -> object:
        audience = AudienceCheck(triggered, known)
        try:
            return audience.matches(), audience.missing_variable
        except Exception as error:
            return type(error)

    assert [verdict(touch) for touch in early] == [verdict(touch) for touch in late]
    assert [verdict(touch) for touch in early][:2] == [(True, None), (False, None)]


def test_each_condition_is_a_step_of_its_own() -> None:
    catalogue = Catalogue(
        {key: campaign(key, trigger={"event": "shop.x", "when": "vip"}, audience="vip") for key in ("a", "b")},
        policy(),
        frozenset({"email"}),
    )
    steps = match_in_steps(event(type="shop.x"), {}, customer(vip=True), catalogue, with_audience=True)
    assert len(list(steps)) == 4
