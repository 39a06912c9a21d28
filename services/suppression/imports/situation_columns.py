"""What a row of imported situations may hold. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from services.bulk_import.row_formats import INSTANT_WORDS, RowLayout

SITUATION_FIELDS: Final = ("customer", "kind", "ref", "opened", "closed", "reason")


def _to_document(cells: Mapping[str, str]) -> dict[str, Any]:
    return dict(cells)


SITUATION_LAYOUT: Final = RowLayout(
    columns=SITUATION_FIELDS,
    required=(("customer",), ("kind",), ("opened",)),
    to_document=_to_document,
    pointers=frozenset(["", *(f"/{name}" for name in SITUATION_FIELDS)]),
    fields=", ".join(SITUATION_FIELDS),
    general_words={
        "/kind": "not a situation of the active policy, such as `complaint`",
        "/opened": INSTANT_WORDS,
        "/closed": INSTANT_WORDS,
    },
)
