"""What may be done with a customer's addresses: tables, and what always holds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.address_ids import AddressIds
from schemas.facts import Address
from services.preference.addresses.address_list import (
    AddressState,
    add_address,
    choose_main,
    main_address,
    remove_address,
    state_of,
    verify_address,
)
from services.preference.preference_state import address_key

NOW = 1_000


def mail(name: str, verified: bool = False, former: int | None = None, problem: str | None = None) -> Address:
    return Address("email", f"{name}@example.org", verified, None, problem, former)


def phone(number: int, verified: bool = False) -> Address:
    return Address("sms", f"+49171111111{number}", verified)


MAIN = {
    "none": ((), None),
    "the first verified one": ((mail("a"), mail("b", True), mail("c", True)), mail("b", True)),
    "else the first": ((mail("a"), mail("b")), mail("a")),
    "not a former one": ((mail("a", True, former=5), mail("b")), mail("b")),
    "not one that cannot be used": ((mail("a", True, problem="no @"), mail("b")), mail("b")),
    "not of another channel": ((phone(1, True), mail("b")), mail("b")),
}


@pytest.mark.parametrize(("addresses", "expected"), MAIN.values(), ids=MAIN.keys())
def test_the_main_address(addresses: tuple[Address, ...], expected: Address | None) -> None:
    assert main_address(addresses, "email") == expected


def test_a_verified_mailbox_takes_the_place_of_the_others_and_a_number_does_not() -> None:
    known = (phone(1, True), mail("a", True), mail("b"), mail("c"), phone(2))
    assert verify_address(known, mail("c"), NOW) == (
        *(phone(1, True), mail("c", True), mail("a", True, former=NOW), mail("b"), phone(2)),
    )
    assert verify_address(known, phone(2), NOW) == (*known[:4], phone(2, True))


def test_choosing_a_former_one_makes_it_current_and_the_first() -> None:
    known = (mail("a", True), phone(1), mail("b", True, former=5))
    assert choose_main(known, mail("b")) == (mail("b", True), mail("a", True), phone(1))


def test_another_spelling_is_the_same_address() -> None:
    known = (mail("a", True),)
    assert add_address(known, Address("email", "A@Example.ORG", False), NOW) == known
    assert remove_address(known, Address("email", "A@Example.ORG", False)) == ()


_KNOWN = st.lists(
    st.builds(mail, st.sampled_from("abcd"), st.booleans(), st.sampled_from([None, 5]), st.sampled_from([None, "bad"]))
    | st.builds(phone, st.integers(1, 3), st.booleans()),
    max_size=6,
    unique_by=address_key,
).map(tuple)


@given(_KNOWN, st.sampled_from("abcd"))
def test_what_is_verified_is_the_main_one_and_none_is_lost(known: tuple[Address, ...], name: str) -> None:
    wanted = mail(name, True)
    after = add_address(known, wanted, NOW)
    assert sorted(map(address_key, after)) == sorted({*map(address_key, known), address_key(wanted)})
    mails = [each for each in after if each.channel == "email"]
    assert mails[0] == msgspec.structs.replace(mails[0], verified=True, former=None)
    assert address_key(mails[0]) == address_key(wanted)
    assert [each for each in mails[1:] if state_of(each) is AddressState.VERIFIED] == []
    assert [each for each in after if each.channel == "sms"] == [each for each in known if each.channel == "sms"]


def test_ids_tell_neither_the_address_nor_that_two_customers_share_it() -> None:
    ids, others = AddressIds(b"key"), AddressIds(b"another key")
    found = {ids.of("c-1", mail("a")), ids.of("c-2", mail("a")), ids.of("c-1", mail("b")), others.of("c-1", mail("a"))}
    assert len(found) == 4 and all(len(each) == 32 and int(each, 16) >= 0 for each in found)
    assert ids.of("c-1", Address("email", "A@EXAMPLE.org", True)) == ids.of("c-1", mail("a"))
