"""Parses the requests of this service's HTTP API, and renders rows as its JSON documents."""

import json
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, model_validator
from sqlalchemy import Row

from schemas.documents import DocumentError, FieldError, validate_document
from schemas.fields import ChannelField, CustomerId, Document, InstantField, ReasonText, SituationKindName
from schemas.service_api import DEFAULT_RELEASE_RATE, MAX_RELEASE_RATE, RECEIPTS_OF
from schemas.suppression import Suppression
from schemas.times import Instant, format_instant
from services.suppression.store.hold_store import hold_state


class RemovalRequest(Document):
    """A request to remove an entry, with its reason. `consent_of`: the customer who has consented anew."""

    reason: ReasonText | None = None
    consent_of: CustomerId | None = None


class RemovalDecision(Document):
    """What somebody has to say about a removal that they decide."""

    reason: ReasonText | None = None


class LiftRequest(Document):
    """A request to lift a hold. `rate`: messages per second at which those it kept back are released."""

    reason: ReasonText | None = None
    rate: Annotated[int, Field(ge=1, le=MAX_RELEASE_RATE)] = DEFAULT_RELEASE_RATE


class AddressLookup(Document):
    """A request to look up an address; without a channel, on all of them."""

    address: str = Field(min_length=1, max_length=4096)
    channel: ChannelField | None = None


class ManualSituation(Document):
    """A situation that a person opens, closes or corrects, and why.

    `at`: when it was opened or closed. `correct` sets when the newest one of this kind and ref began (`opened`) and
    ended (`closed`); `withdraw` says that there never was one.
    """

    action: Literal["open", "close", "correct", "withdraw"]
    kind: SituationKindName
    ref: Any = None
    at: InstantField | None = None
    opened: InstantField | None = None
    closed: InstantField | None = None
    reason: ReasonText | None = None

    @model_validator(mode="after")
    def _check_times(self) -> "ManualSituation":
        corrects = self.opened is not None or self.closed is not None
        if corrects != (self.action == "correct"):
            raise ValueError("`opened` and `closed` are for `correct`, which needs one of them")
        if self.at is not None and self.action not in ("open", "close"):
            raise FieldError("at", "only for `open` and `close`: a correction has `opened` and `closed`")
        if self.opened is not None and self.closed is not None and self.closed < self.opened:
            raise FieldError("closed", "lies before `opened`")
        return self


def parse_suppression(data: object, now: Instant) -> Suppression:
    """A suppression from a request; without `at` it is valid from now on. Raises DocumentError."""
    if isinstance(data, dict) and "mode" in data:
        raise DocumentError([("/mode", "is_a_hold", "this is a hold: send it to /v1/holds")])
    if isinstance(data, dict):
        data = {"at": format_instant(now), **data}
    return validate_document(Suppression, data)


def format_optional_instant(instant: Instant | None) -> str | None:
    """The instant in ISO 8601, or None."""
    return None if instant is None else format_instant(instant)


def is_automatic(added_by: str) -> bool:
    """Whether no person has added an entry: a provider's receipt has, or the event of an erasure."""
    return added_by.startswith(RECEIPTS_OF) or added_by == "event"


def entry_document(row: Row[Any]) -> dict[str, Any]:
    """A row of the do-not-contact list as JSON; an address is masked."""
    scope = {"channel": row.channel, "topic": row.topic, "classes": row.classes and msgspec.json.decode(row.classes)}
    document: dict[str, Any] = {"id": row.id}
    document |= {"customer": row.customer} if row.customer is not None else {"address_masked": row.masked}
    document |= {
        "scope": {name: value for name, value in scope.items() if value is not None},
        "reason": row.reason,
        "source": row.source,
        "note": row.note,
        "at": format_optional_instant(row.at),
        "expires": format_optional_instant(row.expires),
        "added_by": row.added_by,
        "added_at": format_optional_instant(row.added_at),
        "automatic": is_automatic(row.added_by),
    }
    if row.removed_at is not None:
        document |= {
            "removed_by": row.removed_by,
            "removed_at": format_optional_instant(row.removed_at),
            "remove_reason": row.remove_reason,
        }
    return document


def hold_document(row: Row[Any], now: Instant) -> dict[str, Any]:
    """A row of a hold as JSON, with its state: scheduled, active, ended (expired) or lifted."""
    document: dict[str, Any] = json.loads(row.document)
    document |= {"placed_at": format_optional_instant(row.placed_at), "state": hold_state(row, now)}
    if row.lifted_by is not None:
        document |= {
            "lifted_at": format_optional_instant(row.ended_at),
            "lifted_by": row.lifted_by,
            "lift_reason": row.lift_reason,
        }
        document |= {"release_rate": row.release_rate}
    return document


def parse_ref(ref: str) -> Any:
    """A canonical ref as the JSON value it came from; a hashed one stays a text."""
    if not ref:
        return None
    try:
        return json.loads(ref)
    except ValueError:
        return ref
