"""What became of each row of an import, in words that repeat no value of the row. Pure."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from schemas.documents import DocumentError
from services.bulk_import.row_formats import MAX_ROW_BYTES, RowLayout

RowOutcome = Literal["added", "exists", "refused"]
OUTCOMES: Final[tuple[RowOutcome, ...]] = ("added", "exists", "refused")
_SHORTEST_VALUE: Final = 3
"""Characters: a shorter text of a row says nothing of a person, and would be found in any sentence."""
_COMPARED: Final = 24
"""Characters of a value that are looked for: problems quote long values in part."""
_ANY_VALUE: Final = "this value cannot be used; docs/documents.md has the form that it must have"


class RowResult(msgspec.Struct, frozen=True, array_like=True):
    """The result of one row. `row`: its line in the file, from 1. `entry`: the id of what was added, if any."""

    row: int
    outcome: RowOutcome
    entry: str | None = None
    code: str | None = None
    pointer: str | None = None
    detail: str | None = None


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(list[RowResult])
_ERASED: Final = ("/customer", "customer_erased", "this customer was erased, and gets no message anyway")


def refuse_erased(row: int) -> RowResult:
    """The result of a row that names an erased customer."""
    pointer, code, detail = _ERASED
    return RowResult(row, "refused", None, code, pointer, detail)


def refuse_long(row: int) -> RowResult:
    """The result of a line that is longer than any row."""
    detail = f"the line is longer than {MAX_ROW_BYTES:,} bytes: write one row a line"
    return RowResult(row, "refused", None, "too_long", "", detail)


def refuse_row(row: int, plain: object, error: DocumentError, layout: RowLayout) -> RowResult:
    """The result of a row with problems: the first of them. `plain`: the values of the row, as far as known."""
    pointer, code, detail = error.errors[0]
    if pointer not in layout.pointers:
        parent = pointer.rpartition("/")[0]
        pointer = parent if parent in layout.pointers else ""
        is_unknown = code == "unknown_field" or pointer not in layout.free_names
        unknown = f"a field that no row has; those there are: {layout.fields}"
        detail = unknown if is_unknown else layout.general_words.get(pointer, _ANY_VALUE)
    elif _repeats(detail, plain):
        detail = layout.general_words.get(pointer, _ANY_VALUE)
    return RowResult(row, "refused", None, code, pointer, detail)


def _repeats(detail: str, plain: object) -> bool:
    """Whether words hold a text of the row, or the beginning of one."""
    words = detail.casefold()
    return any(
        len(text) >= _SHORTEST_VALUE and text[:_COMPARED].casefold() in words for text in map(str.strip, _texts(plain))
    )


def _texts(plain: Any) -> Iterator[str]:
    """All texts and numbers of a value, the names of its fields apart."""
    if isinstance(plain, dict):
        for each in plain.values():
            yield from _texts(each)
    elif isinstance(plain, list):
        for each in plain:
            yield from _texts(each)
    elif isinstance(plain, str | int | float) and not isinstance(plain, bool):
        yield str(plain)
