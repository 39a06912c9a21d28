import pytest

from services.orchestrator.policy.rules.audience import rule
from tests.support.policy_builders import ALLOW, campaign, facts, judged, only, preference, touch, try_on


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({"vip": True}, ALLOW),
        ({"vip": False}, ("deny", "not_in_audience", None, None)),
        ({}, ("deny", "not_in_audience", None, None)),
    ],
)
def test_who_is_not_in_the_audience_is_denied(traits: dict[str, bool], expected: tuple[object, ...]) -> None:
    known = facts(chosen=preference(traits))
    assert only(judged(rule, try_on(touch(campaign(audience="vip")), known), known)) == expected


def test_without_a_condition_everybody_is_in_the_audience() -> None:
    assert only(judged(rule, try_on(touch()))) == ALLOW


def test_a_condition_that_cannot_be_evaluated_raises_every_time() -> None:
    tried = try_on(touch(campaign(audience="broken")))
    for _ in range(2):
        with pytest.raises(TypeError):
            judged(rule, tried)


def test_a_refusal_shows_the_condition() -> None:
    assert judged(rule, try_on(touch(campaign(audience="vip"))))[0].evidence == {"condition": "vip"}
