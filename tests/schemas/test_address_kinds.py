"""Kinds of addresses: one canonical form, or a refusal that says how to mend it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.address_kinds import EMAIL, NO_ADDRESS, PHONE, TOKEN, AddressKind, BadAddress


def form(kind: AddressKind, text: str, region: str | None = None) -> str:
    """The canonical form, or the code of the refusal."""
    try:
        return kind.canonicalise(text, region)
    except BadAddress as error:
        return error.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada@Example.ORG", "Ada@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
        ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
        ("ada@ｅｘａｍｐｌｅ.org", "ada@example.org"),
        *[(bad, "not_an_email") for bad in ("", "ada", '"a b"@c.org', "a(x)@b.org", "a@b.org,c@d.org", "<a@b.org>")],
        *[(bad, "not_an_email") for bad in ("<>", "a@[127.0.0.1]", "ä@example.org", "a" * 310 + "@b.org", "a@b..org")],
        *[(bad, "not_an_email") for bad in ("Ada <a@b.org>", "=?utf-8?q?a=0D=0ABcc:x?=@b.org", "a@example.org.")],
        *[
            (bad, "reserved_domain")
            for bad in ("ada@shop.local", "a@localhost", "a@x.test", "a@b.invalid", "a@c.onion", "a@b.internal")
        ],
        *[(bad, "control_character") for bad in ("a@b.org\r\nBcc: x@y.org", "a@b.org\0", "a@b.org\n", "a\u200b@b.org")],
    ],
)
def test_mailboxes(text: str, expected: str) -> None:
    assert form(EMAIL, text) == expected


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+44 7700 900101", None, "+447700900101"),
        ("+44 (0)7700 900-101", None, "+447700900101"),
        ("07700 900101", "GB", "+447700900101"),
        ("00 44 7700 900101", "DE", "+447700900101"),
        ("+44 7700 900101", "DE", "+447700900101"),
        ("+٤٤٧٧٠٠٩٠٠١٠١", None, "+447700900101"),
        ("٠٧٧٠٠٩٠٠١٠١", "GB", "+447700900101"),
        ("0171/5551234", "DE", "+491715551234"),
        ("030 123456", "DE", "+4930123456"),
        ("+1 202 555 0123", None, "+12025550123"),
        ("+49 151 12345678", None, "+4915112345678"),
        ("0171 5551234", None, "country_unknown"),
        ("0171 5551234", "AQ", "country_unknown"),
        ("0171 555", "DE", "not_a_phone_number"),
        ("+49 171 555", None, "not_a_phone_number"),
        *[(emergency, "DE", "not_a_phone_number") for emergency in ("112", "110", "+49112")],
        *[
            (bad, "US", "not_a_phone_number")
            for bad in ("911", "12345", "+1 555 0100", "1-800-FLOWERS", "+999 123456789")
        ],
        *[(bad, "GB", "not_a_phone_number") for bad in ("07700900101 ext 5", "07700900101#5", "07700900101,5", "")],
        *[(bad, "GB", "not_a_phone_number") for bad in ("tel:+447700900101", "+447700900101;ext=5", "+" + "1" * 60)],
        *[(bad, "GB", "not_a_phone_number") for bad in ("+447700900101 +447700900102", "+44770090010199", "+", "-")],
        *[(bad, "GB", "control_character") for bad in ("07700900101\n", "\u202a+447700900101\u202c", "0\x00")],
    ],
)
def test_telephone_numbers(text: str, region: str | None, expected: str) -> None:
    assert form(PHONE, text, region) == expected


def test_a_refused_number_says_of_which_country_and_how_to_mend_it() -> None:
    with pytest.raises(BadAddress) as caught:
        PHONE.canonicalise("0171 555", "DE")
    assert caught.value.problem == "not a valid number in DE" and "+44 7700 900101" in caught.value.remedy
    with pytest.raises(BadAddress) as caught:
        PHONE.canonicalise("0171 5551234", None)
    assert "no country is known" in caught.value.problem and "TACTFUL_REGION" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "a b", "a\n", "ä", "x" * 2049])
def test_a_token_is_visible_ascii(text: str) -> None:
    assert form(TOKEN, " token-c-1 ") == "token-c-1"
    assert form(TOKEN, text) == "bad_token"


def test_an_id_of_a_user_is_short_and_holds_no_controls() -> None:
    assert form(NO_ADDRESS, "c-1") == "c-1"
    assert [form(NO_ADDRESS, text) for text in ("c\n1", "", "x" * 257)] == [
        "control_character",
        *["bad_user_id"] * 2,
    ]


@pytest.mark.parametrize("kind", [EMAIL, PHONE, TOKEN, NO_ADDRESS], ids=lambda kind: kind.name)
@given(text=st.text(max_size=400), region=st.sampled_from([None, "DE", "US", "XX"]))
def test_any_text_has_one_form_or_is_refused_in_silence(kind: AddressKind, text: str, region: str | None) -> None:
    once, words = "", ""
    try:
        once = kind.canonicalise(text, region)
    except BadAddress as error:
        words = str(error)
    if words:
        assert len(text) < 4 or text not in words
        return
    assert kind.canonicalise(once, None) == once
    assert not set(once) & set("\r\n\0")


@pytest.mark.parametrize(
    ("kind", "canonical", "region"),
    [
        (PHONE, "+447700900101", "GB"),
        (PHONE, "+447700900101", None),
        (PHONE, "+491715551234", "DE"),
        (PHONE, "+12025550123", "US"),
        (EMAIL, "ada@xn--bcher-kva.example", None),
    ],
)
def test_other_spellings_are_spellings_of_the_same_address(
    kind: AddressKind, canonical: str, region: str | None
) -> None:
    found = kind.other_spellings(canonical, region)
    assert found and canonical not in found
    for spelling in found:
        if (spelling[0] == "+" and "(0)" not in spelling) or kind is EMAIL:
            assert kind.canonicalise(spelling, region) == canonical


def test_usual_spellings_are_among_them() -> None:
    assert {"+44 7700 900101", "+44-7700-900101", "+44 (0)7700 900101", "00447700900101", "447700900101"} <= set(
        PHONE.other_spellings("+447700900101", None)
    )
    assert {"07700 900101", "07700900101"} <= set(PHONE.other_spellings("+447700900101", "GB"))
    assert not {"07700 900101", "07700900101"} & set(PHONE.other_spellings("+447700900101", "DE"))
    assert EMAIL.other_spellings("ada@xn--bcher-kva.example", None) == ("ada@bücher.example",)
