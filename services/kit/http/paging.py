"""Paging: opaque cursors that encode where the next page begins."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from fastapi import Query

from schemas.text import is_storable
from services.kit.errors import Invalid, Problem

T = TypeVar("T")
PageLimit = Annotated[int, Query(ge=1, le=200, description="Items of one page")]
PageCursor = Annotated[str | None, Query(max_length=1000, description="The `next` of the page before")]
DEFAULT_LIMIT = 50


def to_page(items: Sequence[object], next: str | None) -> dict[str, object]:
    """Builds a list response; `next` is the cursor of the next page, or None at the end."""
    return {"items": list(items), "next": next}


def encode_cursor(position: object) -> str:
    """Encodes the last item's sort values as opaque text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str, form: type[T], most: int = 2**63 - 1) -> T:
    """Decodes the sort values and checks that a database can compare with them. `most`: the largest number that the
    column holds. Raises Invalid.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = msgspec.json.decode(raw, type=form)
        if not all(_is_comparable(each, most) for each in _flatten(msgspec.to_builtins(position))):
            raise ValueError(raw)
        return position
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError):
        problem = Problem("/query/after", "bad_cursor", "use the `next` of the page before as it is")
        raise Invalid("`after` is not a cursor of this list", errors=[problem]) from None


def _flatten(position: object) -> list[object]:
    if isinstance(position, dict):
        position = list(position.values())
    if isinstance(position, list | tuple):
        return [each for part in position for each in _flatten(part)]
    return [position]


def _is_comparable(value: object, most: int) -> bool:
    return is_storable(value) if isinstance(value, str) else not isinstance(value, int) or abs(value) <= most
