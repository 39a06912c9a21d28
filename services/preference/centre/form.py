"""Reads the forms of the preference centre. Bounded, and strict; what the values mean is decided later.

A form carries what its page has shown (`cells`, `was_...`). Only what the person has changed against that is asked for,
so that a form which is saved twice, or after somebody else's change, takes nothing back.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qs

from fastapi import Request

from services.kit.errors import Invalid
from services.preference.centre.choices import Cell

Action = Literal["save", "pause", "resume", "stop", "service", "undo"]
MAX_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 4000
MAX_CELLS: Final = 3000
FIELDS: Final[tuple[str, ...]] = ("frequency", "quiet_from", "quiet_to", "zone", "language")
"""The fields beside cells and order."""
MAX_ORDER: Final = 30
_MAX_VALUE: Final = 200


FORM_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
CENTRE_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["version"],
    "properties": {"action": {"type": "string", "enum": list(get_args(Action))}, "version": {"type": "string"}},
    "description": "The fields of the form that the page has, as a browser sends them.",
}
WAY_BACK_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["wording"],
    "properties": {"wording": {"type": "string"}},
    "description": "The fields of the form that the page after unsubscribing has.",
}


class UnreadableForm(Invalid):
    """A form that none of our pages has sent."""

    default_code = "unreadable_form"


@dataclass(frozen=True, slots=True)
class CentreForm:
    """What a person asks for.

    `version`: of the preferences that the page has shown. `cells`: those that were switched on or off. `values`: the
    fields as submitted; `changed`: those of them that differ from what was shown. `order`: the channels that were
    chosen by place, `shown_order` what was shown there. `texts`: identifies the words of the page.
    """

    action: Action
    version: int
    cells: Mapping[Cell, bool] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    shown_order: tuple[str, ...] = ()
    texts: str = ""


async def read_centre_form(request: Request) -> CentreForm:
    """The form of a request. Raises UnreadableForm."""
    return parse_centre_form(await _read_body(request))


async def _read_body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM_MEDIA_TYPE:
        raise UnreadableForm("send the fields of the form")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise UnreadableForm(f"the form is larger than {MAX_BYTES} bytes")
    return bytes(body)


def _parse(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise UnreadableForm("the form cannot be read") from None


def parse_centre_form(body: bytes) -> CentreForm:
    """The form in these bytes. Raises UnreadableForm."""
    fields = _parse(body)
    last = {name: values[-1] for name, values in fields.items()}
    action, version = last.get("action", "save"), last.get("version", "")
    if action not in get_args(Action) or not (version.isascii() and version.isdigit() and len(version) < 19):
        raise UnreadableForm("the form lacks what its page has put into it")
    values = {name: last[name] for name in FIELDS if name in last and f"was_{name}" in last}
    places = [str(number) for number in range(1, MAX_ORDER + 1) if f"order_{number}" in last]
    order = tuple(last[f"order_{place}"] for place in places)
    if any(len(value) > _MAX_VALUE or "\0" in value for value in (*values.values(), *order)):
        raise UnreadableForm("a value of the form is too long")
    return CentreForm(
        action,  # type: ignore[arg-type]
        int(version),
        _changed_cells(last.get("cells", ""), fields.get("cell", [])),
        values,
        frozenset(name for name, value in values.items() if value != last[f"was_{name}"]),
        order,
        tuple(last.get(f"was_order_{place}", "") for place in places),
        last.get("texts", ""),
    )


AddressAction = Literal["add", "send", "code", "main", "remove"]
ADDRESS_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["action"],
    "properties": {
        "action": {"type": "string", "enum": list(get_args(AddressAction))},
        **{name: {"type": "string"} for name in ("address", "channel", "text", "code")},
    },
    "description": "The fields of one of the forms beside the customer's addresses.",
}
_MAX_ADDRESS: Final = 400


@dataclass(frozen=True, slots=True)
class AddressForm:
    """What a person asks for with an address: `address` is the id of a known one, `text` a new one as it was typed."""

    action: AddressAction
    address: str = ""
    channel: str = ""
    text: str = ""
    code: str = ""


async def read_address_form(request: Request) -> AddressForm:
    """The form of a request. Raises UnreadableForm."""
    last = {name: values[-1] for name, values in _parse(await _read_body(request)).items()}
    fields = {name: last.get(name, "").strip() for name in ("address", "channel", "text", "code")}
    if last.get("action") not in get_args(AddressAction):
        raise UnreadableForm("the form lacks what its page has put into it")
    if any(len(value) > _MAX_ADDRESS or "\0" in value for value in fields.values()):
        raise UnreadableForm("a value of the form is too long")
    return AddressForm(last["action"], **fields | {"code": _plain_digits(fields["code"])})  # type: ignore[arg-type]


def _plain_digits(code: str) -> str:
    """A code as people type it: with spaces, or in the digits of another script."""
    return "".join(str(unicodedata.digit(each, each)) for each in code if not each.isspace())


async def read_way_back(request: Request) -> str:
    """The key of the words to which the person who takes back an unsubscription agrees. Raises UnreadableForm."""
    fields = _parse(await _read_body(request))
    return fields.get("wording", [""])[-1]


def write_cells(cells: Mapping[Cell, bool]) -> str:
    """The hidden field that says which cells a page has shown, and which of them were on."""
    return " ".join(f"{cell.topic}.{cell.channel}={int(on)}" for cell, on in cells.items())


def _changed_cells(shown: str, ticked: list[str]) -> dict[Cell, bool]:
    on_now, changed = set(ticked), dict[Cell, bool]()
    items = shown.split(" ") if shown else []
    if len(items) > MAX_CELLS:
        raise UnreadableForm(f"the form has more than {MAX_CELLS} boxes")
    for item in items:
        name, _, was = item.partition("=")
        topic, _, channel = name.partition(".")
        if was not in ("0", "1") or not topic or not channel:
            raise UnreadableForm("the form lacks what its page has put into it")
        if (name in on_now) != (was == "1"):
            changed[Cell(topic, channel)] = name in on_now
    return changed
