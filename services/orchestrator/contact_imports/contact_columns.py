"""What a row of imported contacts may hold. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.contact_channels import CONTACT_CHANNELS
from schemas.vocabulary import Class, Intent
from services.bulk_import.row_formats import INSTANT_WORDS, RowLayout

CONTACT_FIELDS: Final = ("customer", "at", "channel", "class", "intent", "topic", "campaign", "id")


def _to_document(cells: Mapping[str, str]) -> dict[str, Any]:
    return dict(cells)


CONTACT_LAYOUT: Final = RowLayout(
    columns=CONTACT_FIELDS,
    required=(("customer",), ("at",), ("channel",), ("class",)),
    to_document=_to_document,
    pointers=frozenset(["", *(f"/{name}" for name in CONTACT_FIELDS)]),
    fields=", ".join(CONTACT_FIELDS),
    general_words={
        "/at": INSTANT_WORDS,
        "/channel": f"not a channel: one of {', '.join(CONTACT_CHANNELS)}",
        "/class": f"not a class: one of {', '.join(Class)}",
        "/intent": f"not an intent: one of {', '.join(Intent)}",
    },
)
