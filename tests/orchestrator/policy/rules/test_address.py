import pytest

from schemas.facts import Address
from services.orchestrator.policy.rules.address import rule
from services.orchestrator.policy.rules.address.declaration import DECLARATION
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


BROKEN = Address("email", "a@shop.local", True, problem="an e-mail address at a reserved domain")


def test_an_unusable_address_is_passed_over_and_the_verdict_says_so() -> None:
    known = facts(chosen=preference(addresses=(BROKEN, PROVEN)))
    (passed,) = judged(rule, try_on(touch(OFFER), known), known)
    assert (passed.verdict, passed.evidence) == (
        "allow",
        {"verified": True, "unusable": 1, "problems": ["an e-mail address at a reserved domain"]},
    )


def test_unusable_addresses_alone_are_no_address() -> None:
    known = facts(chosen=preference(addresses=(BROKEN, UNPROVEN, Address("sms", "1", True, problem="too short"))))
    (refused,) = judged(rule, try_on(touch(OFFER), known), known)
    assert refused.evidence == {
        "channel": "email",
        "unverified": 1,
        "unusable": 1,
        "problems": ["an e-mail address at a reserved domain"],
    }
    explain = DECLARATION.reasons[0].explain
    assert explain is not None and "is not verified" in explain(refused)
    known = facts(chosen=preference(addresses=(BROKEN,)))
    (refused,) = judged(rule, try_on(touch(NOTICE), known), known)
    assert explain(refused).endswith("for e-mail (1 address passed over: an e-mail address at a reserved domain)")


def test_unusable_addresses_of_another_channel_are_no_evidence() -> None:
    known = facts(chosen=preference(addresses=(PROVEN, Address("sms", "1", True, problem="too short"))))
    assert judged(rule, try_on(touch(OFFER), known), known)[0].evidence == {"verified": True}
