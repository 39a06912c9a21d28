"""What the receipts of providers have in common: how a statement of theirs becomes ours."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from pydantic import BaseModel, SecretStr

from schemas.receipt import Receipt, ReceiptKind
from schemas.times import MAX_INSTANT, SECOND, Instant, parse_instant
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes of a request, whatever TACTFUL_WEB__MAX_BODY allows; providers send less than one MiB."""
TOLERANCE: Final = 300
"""Seconds by which the time of a request may be ahead of ours, or behind it where each attempt is signed anew."""
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_HOURS_ALONE: Final = re.compile(r"[+-]\d\d$", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReceiptMeaning:
    """What an event of a provider means to us. Events have none, one or several meanings: a mail that was dropped
    because its address had bounced before has failed, and its address has bounced.
    """

    kind: ReceiptKind
    permanent: bool = False
    by_machine: bool = False


DELIVERED: Final = (ReceiptMeaning("delivered"),)
BOUNCED: Final = (ReceiptMeaning("bounced"),)
BOUNCED_FOR_GOOD: Final = (ReceiptMeaning("bounced", permanent=True),)
FAILED: Final = (ReceiptMeaning("failed"),)
COMPLAINED: Final = (ReceiptMeaning("complained"),)
UNSUBSCRIBED: Final = (ReceiptMeaning("unsubscribed"),)
OPENED: Final = (ReceiptMeaning("opened"),)
OPENED_BY_MACHINE: Final = (ReceiptMeaning("opened", by_machine=True),)
CLICKED: Final = (ReceiptMeaning("clicked"),)
CLICKED_BY_MACHINE: Final = (ReceiptMeaning("clicked", by_machine=True),)


@dataclass(frozen=True, slots=True)
class ProviderStatement:
    """One event of a provider about a message of ours, read but not yet in our form.

    `message_id`: what its own field of the message holds; empty or strange if the message is not ours. `at`: None if it
    has no time that can be read. `identity`: what is the same whenever it is repeated, and of no other event; it may
    hold addresses, as only its digest is kept. `codes`: texts that the provider means for programs; those that look
    otherwise are left out.
    """

    message_id: str
    meanings: Sequence[ReceiptMeaning]
    at: Instant | None
    identity: Sequence[str]
    codes: Sequence[str] = ()

    def receipts(self, adapter: str, now: Instant) -> Iterator[Receipt]:
        """Its receipts; none for a message that is not ours. Without a time it is of now."""
        if _MESSAGE_ID.fullmatch(self.message_id) is None:
            return
        detail = ", ".join(code for code in self.codes if _CODE.fullmatch(code)) or None
        at = now if self.at is None else self.at
        for position, each in enumerate(self.meanings):
            key = make_key(adapter, *self.identity, position)
            yield Receipt(key, self.message_id, each.kind, at, each.permanent, each.by_machine, detail)


def read_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object that a body is. Raises Malformed."""
    found = read_json(body)
    if not isinstance(found, dict):
        raise Malformed("the body is no JSON object")
    return found


def read_json(body: bytes) -> Any:
    """The JSON that a body is. Raises Malformed."""
    if len(body) > MAX_BODY:
        raise Malformed(f"the body has more than {MAX_BODY} bytes")
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"the body is no JSON: {type(error).__name__}") from None


def read_instant(value: Any) -> Instant | None:
    """The instant of seconds since 1970 or of an ISO text with a zone, whole or broken; None if it is neither."""
    if isinstance(value, str):
        try:
            return parse_instant(f"{value}:00" if _HOURS_ALONE.search(value) else value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(value * SECOND) if 0 <= value <= MAX_INSTANT // SECOND else None


def require_receipt_setting(settings: BaseModel, id: str, field: str) -> str:
    """The value of the setting that proves who sends receipts. Raises ReceiptRefused, which names the variable."""
    value = getattr(settings, field)
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text:
        variable = f"TACTFUL_{id}__{field}".upper()
        raise ReceiptRefused(f"{variable} is not set, so nobody can prove who sends receipts")
    return str(text)


def check_age(seconds: str, now: Instant, oldest: int, name: str) -> None:
    """Raises ReceiptRefused for a time (seconds since 1970) ahead of ours, or more than `oldest` seconds behind it."""
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        raise ReceiptRefused(f"{name} must be seconds since 1970")
    age = now - int(seconds) * SECOND
    if not -TOLERANCE * SECOND <= age <= oldest * SECOND:
        raise ReceiptRefused(f"{name} is more than {TOLERANCE} s ahead of our time or {oldest} s behind it")


def make_key(adapter: str, *identity: str | int) -> str:
    """The key of a statement: the same whenever its identity is."""
    digest = hashlib.sha256(repr(identity).encode("utf-8", "backslashreplace")).hexdigest()[:40]
    return f"{adapter}:{digest}"
