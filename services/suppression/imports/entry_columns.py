"""What a row of an imported do-not-contact list may hold. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from services.bulk_import.row_formats import INSTANT_WORDS, RowLayout, split_list

_SCOPE: Final = ("channel", "topic", "classes")


def _to_document(cells: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {name: cell for name, cell in cells.items() if name not in _SCOPE}
    scope: dict[str, Any] = {name: cells[name] for name in _SCOPE if name in cells}
    if "classes" in scope:
        scope["classes"] = split_list(scope["classes"])
    if scope:
        document["scope"] = scope
    return document


ENTRY_LAYOUT: Final = RowLayout(
    columns=("customer", "address", "channel", "topic", "classes", "reason", "source", "note", "at", "expires"),
    required=(("customer", "address"), ("reason",)),
    to_document=_to_document,
    pointers=frozenset(
        ["", "/customer", "/address", "/scope", "/scope/channel", "/scope/topic", "/scope/classes", "/reason"]
        + ["/source", "/note", "/at", "/expires", "/mode"]
    ),
    fields="customer, address, scope (channel, topic, classes), reason, source, note, at, expires",
    general_words={
        "/reason": "not a reason of the list; docs/documents.md has them, such as `manual`, `legal` or `imported`",
        "/scope/channel": "not a channel, such as `email` or `sms`",
        "/scope/classes": "not classes: `transactional`, `service`, `marketing`",
        "/at": INSTANT_WORDS,
        "/expires": INSTANT_WORDS,
    },
)
