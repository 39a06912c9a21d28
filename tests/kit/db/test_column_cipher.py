"""What is sealed for one place opens there alone, under its key, and unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.db.column_cipher import MARK, PLAIN, ColumnCipher, key_of, parse_column_keys
from services.kit.errors import SealedValueUnreadable

A, B = bytes(range(32)), bytes(range(32, 64))
COLUMN, OWNER = "preference_state.state", "c-1"
OLD, BOTH = ColumnCipher({"old": A}), ColumnCipher({"new": B, "old": A})
VALUES = st.binary(max_size=300)


@given(VALUES, st.text(max_size=20))
def test_what_is_sealed_opens_and_is_sealed_differently_each_time(value: bytes, owner: str) -> None:
    first, second = OLD.seal(COLUMN, owner, value), OLD.seal(COLUMN, owner, value)
    assert first != second and key_of(first) == "old"
    assert OLD.open(COLUMN, owner, first) == BOTH.open(COLUMN, owner, second) == value
    assert key_of(BOTH.seal(COLUMN, owner, value)) == "new"


@given(VALUES, st.data())
def test_no_changed_bit_is_taken_for_a_value(value: bytes, data: st.DataObject) -> None:
    sealed = bytearray(BOTH.seal(COLUMN, OWNER, value))
    place = data.draw(st.integers(1, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealedValueUnreadable):
        BOTH.open(COLUMN, OWNER, bytes(sealed))


@given(VALUES, st.integers(1, 400))
def test_no_cut_value_is_taken(value: bytes, length: int) -> None:
    sealed = OLD.seal(COLUMN, OWNER, value)
    with pytest.raises(SealedValueUnreadable):
        OLD.open(COLUMN, OWNER, sealed[: min(length, len(sealed) - 1)])


@pytest.mark.parametrize(("column", "owner"), [("preference_change.value", OWNER), (COLUMN, "c-2")])
def test_a_value_cannot_be_moved(column: str, owner: str) -> None:
    with pytest.raises(SealedValueUnreadable, match="changed or moved"):
        OLD.open(column, owner, OLD.seal(COLUMN, OWNER, b"x"))


def test_a_missing_key_is_named_also_where_sealing_is_off() -> None:
    sealed = OLD.seal(COLUMN, OWNER, b"x")
    for cipher in (ColumnCipher(), ColumnCipher({"new": B})):
        with pytest.raises(
            SealedValueUnreadable, match=r"under the key 'old', which TACTFUL_COLUMN_KEYS does not have"
        ):
            cipher.open(COLUMN, OWNER, sealed)


def test_another_key_of_the_same_id_opens_nothing() -> None:
    with pytest.raises(SealedValueUnreadable, match="another one"):
        ColumnCipher({"old": B}).open(COLUMN, OWNER, OLD.seal(COLUMN, OWNER, b"x"))


def test_without_keys_values_stay_plain_and_plain_ones_are_read_with_keys() -> None:
    assert ColumnCipher().seal(COLUMN, OWNER, b"{}") == b"{}"
    assert BOTH.open(COLUMN, OWNER, b"{}") == b"{}" and key_of(b"{}") == PLAIN
    assert BOTH.seal(COLUMN, OWNER, b"{}").startswith(MARK)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("old:abc", "key 1 is not"),
        (f"old:{'0' * 64}x", "key 1 is not"),
        (f"a:{'1' * 64},b b:{'2' * 64}", "key 2 is not"),
        (f"a:{'1' * 64},a:{'2' * 64}", "two keys have the id a"),
        (f"a:{'1' * 64},b:{'1' * 64}", "two ids have the same key"),
    ],
    ids=["short", "long", "id", "same-id", "same-key"],
)
def test_keys_that_cannot_be_used_are_refused_without_quoting_them(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        parse_column_keys(text)
    assert "111" not in str(refused.value)


def test_the_first_key_seals() -> None:
    assert ColumnCipher(parse_column_keys(f" b:{'a1' * 32}, a:{'b2' * 32} ")).first == "b"
