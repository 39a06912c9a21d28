import hashlib

import pytest

from services.orchestrator.policy.rules.holdout import rule
from services.orchestrator.policy.rules.holdout.declaration import DECLARATION
from tests.support.policy_builders import ALLOW, campaign, facts, judged, only, policy, touch, try_on

PLACE = int(hashlib.sha256(b"campaign:offer:c-1").hexdigest()[:8], 16) % 10_000
GLOBAL = int(hashlib.sha256(b"global:autumn:c-1").hexdigest()[:8], 16) % 10_000


def test_the_place_is_the_one_that_the_text_defines() -> None:
    assert not rule.is_in_holdout("campaign:offer:c-1", PLACE / 100)
    assert rule.is_in_holdout("campaign:offer:c-1", (PLACE + 1) / 100)


def test_percentages_are_exact() -> None:
    key = next(
        f"k{n}" for n in range(100_000) if int(hashlib.sha256(f"k{n}".encode()).hexdigest()[:8], 16) % 10_000 == 7
    )
    assert not rule.is_in_holdout(key, 0.07)  # 0.07 * 100 is 7.000000000000001 in binary


@pytest.mark.parametrize(("cls", "held"), [("marketing", True), ("service", False)])
def test_the_global_group_concerns_marketing(cls: str, held: bool) -> None:
    known = facts(policy(holdout={"percent": (GLOBAL + 1) / 100, "salt": "autumn"}))
    found = only(judged(rule, try_on(touch(campaign(cls=cls)), known), known))
    assert found == (("deny", "holdout", None, None) if held else ALLOW)


@pytest.mark.parametrize("cls", ["marketing", "service"])
def test_the_campaigns_own_group_concerns_service_too(cls: str) -> None:
    held = campaign(cls=cls, holdout=(PLACE + 1) / 100)
    free = campaign(cls=cls, holdout=PLACE / 100)
    assert only(judged(rule, try_on(touch(held)))) == ("deny", "holdout", None, None)
    assert only(judged(rule, try_on(touch(free)))) == ALLOW


def test_it_does_not_concern_transactional_messages() -> None:
    assert "transactional" not in DECLARATION.classes


def test_a_refusal_says_which_group_it_is_and_how_large() -> None:
    held = touch(campaign(holdout=(PLACE + 1) / 100))
    assert judged(rule, try_on(held))[0].evidence == {"group": "campaign", "percent": (PLACE + 1) / 100}
    known = facts(policy(holdout={"percent": (GLOBAL + 1) / 100, "salt": "autumn"}))
    assert judged(rule, try_on(touch(), known), known)[0].evidence == {"group": "global", "percent": (GLOBAL + 1) / 100}
    free = facts(policy(holdout={"percent": GLOBAL / 100, "salt": "autumn"}))
    assert only(judged(rule, try_on(touch(), free), free)) == ALLOW
