"""What became of each row of an import, in words that repeat no value of the row. Pure."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from schemas.documents import DocumentError
from services.suppression.imports.row_formats import MAX_ROW_BYTES

RowOutcome = Literal["added", "exists", "refused"]
OUTCOMES: Final[tuple[RowOutcome, ...]] = ("added", "exists", "refused")
_SHORTEST_VALUE: Final = 3
"""Characters: a shorter text of a row says nothing of a person, and would be found in any sentence."""
_COMPARED: Final = 24
"""Characters of a value that are looked for: problems quote long values in part."""
_POINTERS: Final = frozenset(
    ["", "/customer", "/address", "/scope", "/scope/channel", "/scope/topic", "/scope/classes", "/reason", "/source"]
    + ["/note", "/at", "/expires", "/mode"]
)
"""Places that are named as they are. Any other holds a name that the row made up."""


class RowResult(msgspec.Struct, frozen=True, array_like=True):
    """The result of one row. `row`: its line in the file, from 1. `entry`: the id of what was added."""

    row: int
    outcome: RowOutcome
    entry: str | None = None
    code: str | None = None
    pointer: str | None = None
    detail: str | None = None


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(list[RowResult])
_ERASED: Final = (
    "/customer",
    "customer_erased",
    "this customer was erased, and gets no message anyway",
)


def refuse_erased(row: int) -> RowResult:
    """The result of a row that names an erased customer."""
    pointer, code, detail = _ERASED
    return RowResult(row, "refused", None, code, pointer, detail)


def refuse_long(row: int) -> RowResult:
    """The result of a line that is longer than any entry."""
    detail = f"the line is longer than {MAX_ROW_BYTES:,} bytes: write one entry a line"
    return RowResult(row, "refused", None, "too_long", "", detail)


def refuse_row(row: int, plain: object, error: DocumentError) -> RowResult:
    """The result of a row with problems: the first of them. `plain`: the values of the row, as far as known."""
    pointer, code, detail = error.errors[0]
    if pointer not in _POINTERS:
        parent = pointer.rpartition("/")[0]
        pointer = parent if parent in _POINTERS else ""
        detail = f"a field that no entry has; those there are: {_KNOWN_FIELDS}"
    elif _repeats(detail, plain):
        detail = _GENERAL_WORDS.get(pointer, "this value cannot be used; docs/documents.md has the form of an entry")
    return RowResult(row, "refused", None, code, pointer, detail)


_KNOWN_FIELDS: Final = "customer, address, scope (channel, topic, classes), reason, source, note, at, expires"
_GENERAL_WORDS: Final = {
    "/reason": "not a reason of the list; docs/documents.md has them, such as `manual`, `legal` or `imported`",
    "/scope/channel": "not a channel, such as `email` or `sms`",
    "/scope/classes": "not classes: `transactional`, `service`, `marketing`",
    "/at": "not an instant in RFC 3339, such as 2026-03-02T10:00:00Z",
    "/expires": "not an instant in RFC 3339, such as 2026-03-02T10:00:00Z",
}


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
