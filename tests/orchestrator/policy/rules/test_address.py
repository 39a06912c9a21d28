import pytest

from schemas.facts import Address
from services.orchestrator.policy.rules.address import rule
from tests.support.policy_builders import campaign, facts, judged, only, preference, touch, try_on

PROVEN, UNPROVEN = Address("email", "a@example.org", True), Address("email", "b@example.org", False)
OFFER = campaign(channels=["email", "in_app"])
NOTICE = campaign("notice", cls="service")


@pytest.mark.parametrize(
    ("of", "channel", "addresses", "verdict"),
    [
        (OFFER, "email", (PROVEN,), "allow"),
        (OFFER, "email", (UNPROVEN,), "deny"),  # marketing needs a verified one
        (NOTICE, "email", (UNPROVEN,), "allow"),
        (NOTICE, "email", (), "deny"),
        (NOTICE, "email", (Address("push", "token", True),), "deny"),  # of another channel
        (OFFER, "in_app", (), "allow"),  # needs none
    ],
)
def test_table(of: object, channel: str, addresses: tuple[Address, ...], verdict: str) -> None:
    known = facts(chosen=preference(addresses=addresses))
    found = only(judged(rule, try_on(touch(of), known, channel=channel), known))  # type: ignore[arg-type]
    assert found == (verdict, "no_address" if verdict == "deny" else None, None, None)


def test_a_refusal_says_how_many_addresses_of_the_channel_are_not_verified() -> None:
    known = facts(chosen=preference(addresses=(UNPROVEN, UNPROVEN, Address("push", "token", False))))
    assert judged(rule, try_on(touch(OFFER), known), known)[0].evidence == {"channel": "email", "unverified": 2}
