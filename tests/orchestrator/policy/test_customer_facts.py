import pytest
from msgspec.structs import replace

from schemas.facts import Address, Situation, SuppressionEntry
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.policy_builders import at, facts, policy, preference

UNVERIFIED, FIRST, SECOND = (
    Address("email", "u@example.org", False),
    Address("email", "a@example.org", True),
    Address("email", "b@example.org", True),
)


def stop(*places: int) -> tuple[SuppressionEntry, ...]:
    return tuple(SuppressionEntry(None, None, None, 0, None, "hard_bounce", place) for place in places)


@pytest.mark.parametrize(
    ("cls", "entries", "expected"),
    [
        ("marketing", (), FIRST),
        ("marketing", stop(1), SECOND),
        ("marketing", stop(1, 2), None),
        ("service", (), FIRST),
        ("service", stop(1, 2), UNVERIFIED),
        ("transactional", stop(0, 1, 2), None),
    ],
)
def test_the_address_is_the_first_verified_one_that_is_not_suppressed(
    cls: str, entries: tuple[SuppressionEntry, ...], expected: Address | None
) -> None:
    known = facts(chosen=preference(addresses=(UNVERIFIED, FIRST, SECOND)), entries=entries)
    assert known.delivery_address(MessageAttributes("offer", "news", "email", cls, None), at("02 10:00")) == expected


def test_in_app_needs_no_address() -> None:
    assert facts().delivery_address(MessageAttributes("offer", "news", "in_app", "marketing", None), 0) is None


@pytest.mark.parametrize(
    ("zone", "country", "expected"),
    [
        ("Asia/Tokyo", "PT", ["Asia/Tokyo"]),
        (None, "DE", ["Europe/Berlin", "Europe/Busingen"]),
        (None, None, ["America/New_York"]),
        ("No/Where", None, ["America/New_York"]),
    ],
)
def test_the_zones_that_may_be_the_customers(zone: str | None, country: str | None, expected: list[str]) -> None:
    known = facts(policy(unknown_zones=["America/New_York"]), preference(zone=zone, country=country))
    assert [each.name for each in known.quiet_zones] == expected


def test_without_unknown_zones_the_organisations_stands_in() -> None:
    assert [each.name for each in facts(policy(zone="Asia/Tokyo"), preference(zone=None)).quiet_zones] == ["Asia/Tokyo"]


def test_situations_are_found_by_kind_in_order_of_arrival() -> None:
    one, two, other = Situation("a", "1", 9), Situation("a", "2", 3), Situation("b", "", 1)
    assert facts(situations=(one, other, two)).situations_by_kind == {"a": (one, two), "b": (other,)}


def test_in_app_has_no_address_even_where_one_is_known() -> None:
    known = facts(chosen=preference(addresses=(Address("in_app", "c-1", True),)))
    assert known.delivery_address(MessageAttributes("offer", "news", "in_app", "marketing", None), 0) is None


def test_an_entry_is_live_from_its_instant_on_and_until_it_expires() -> None:
    kind, now = MessageAttributes("offer", "news", "email", "marketing", None), at("02 10:00")

    def live(begins: int, expires: int | None = None) -> int:
        return len(
            facts(entries=(SuppressionEntry(None, None, None, begins, expires, "manual"),)).live_suppressions(kind, now)
        )

    assert [live(now), live(now + 1), live(0, now), live(0, now + 1)] == [1, 0, 0, 1]


def test_the_address_is_one_of_the_channel_and_of_unverified_ones_the_first() -> None:
    phone, other = Address("sms", "+4930123", True), Address("email", "other@example.org", False)
    known = facts(chosen=preference(addresses=(phone, UNVERIFIED, other)))
    assert known.delivery_address(MessageAttributes("offer", None, "email", "service", None), 0) == UNVERIFIED
    assert known.delivery_address(MessageAttributes("offer", "news", "email", "marketing", None), 0) is None
    assert known.delivery_address(MessageAttributes("offer", None, "sms", "service", None), 0) == phone


def test_an_address_without_a_canonical_form_is_passed_over() -> None:
    broken = Address("email", "a@shop.local", True, problem="an e-mail address at a reserved domain")
    known = facts(chosen=preference(addresses=(broken, UNVERIFIED, FIRST)))
    for cls in ("marketing", "service"):
        assert known.delivery_address(MessageAttributes("offer", "news", "email", cls, None), at("02 10:00")) == FIRST
    assert known.usable_address_indexes("email", "marketing") == (2,)
    only_broken = facts(chosen=preference(addresses=(broken,)))
    assert only_broken.usable_address("email", "service") is None
    attributes = MessageAttributes("offer", "news", "email", "service", None)
    assert only_broken.delivery_address(attributes, at("02 10:00")) is None


@pytest.mark.parametrize("cls", ["marketing", "service", "transactional"])
def test_a_former_address_is_used_by_no_message(cls: str) -> None:
    former, attributes = replace(FIRST, former=5), MessageAttributes("offer", "news", "email", cls, None)
    known = facts(chosen=preference(addresses=(former, SECOND)))
    assert known.delivery_address(attributes, at("02 10:00")) == known.usable_address("email", cls) == SECOND
    assert known.usable_address_indexes("email", cls) == (1,)
    alone = facts(chosen=preference(addresses=(former,)))
    assert alone.delivery_address(attributes, at("02 10:00")) is alone.usable_address("email", cls) is None


def test_a_message_that_asks_to_verify_needs_an_address_that_is_not_verified_and_is_no_marketing() -> None:
    known = facts(chosen=preference(addresses=(FIRST, UNVERIFIED)), entries=stop(0))
    for cls, expected in (("transactional", UNVERIFIED), ("marketing", None)):
        attributes = MessageAttributes("verify", None, "email", cls, None)
        assert known.address_to_verify("email", cls) == expected
        assert known.addresses_to_verify(attributes, at("02 10:00")) == ([expected] if expected else [])
    blocked = facts(chosen=preference(addresses=(FIRST, UNVERIFIED)), entries=stop(1))
    attributes = MessageAttributes("verify", None, "email", "transactional", None)
    assert blocked.addresses_to_verify(attributes, at("02 10:00")) == []
