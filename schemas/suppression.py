"""Documents of the suppression service: do-not-contact entries and operators' holds."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.customer import AddressText, Country
from schemas.documents import FieldError
from schemas.fields import (
    ChannelField,
    Channels,
    ClassField,
    CustomerId,
    Document,
    InstantField,
    Key,
    ReasonText,
    Scope,
    Text,
    as_tuple,
    distinct,
    enum_member,
)
from schemas.vocabulary import SuppressionReason


class SuppressionScope(Document):
    """What an entry covers; an absent field covers all."""

    channel: ChannelField | None = None
    topic: Key | None = None
    classes: Annotated[tuple[ClassField, ...], as_tuple, Field(min_length=1), distinct] | None = None


class Suppression(Document):
    """A standing reason never to contact a customer or an address."""

    customer: CustomerId | None = None
    address: AddressText | None = None
    scope: SuppressionScope = SuppressionScope()
    reason: Annotated[SuppressionReason, enum_member(SuppressionReason)]
    source: Text | None = None
    note: Text | None = None
    at: InstantField
    expires: InstantField | None = None

    @model_validator(mode="after")
    def _check_subject(self) -> "Suppression":
        if (self.customer is None) == (self.address is None):
            raise ValueError("must name either a `customer` or an `address`")
        if self.expires is not None and self.expires <= self.at:
            raise FieldError("expires", "`expires` must be after `at`")
        return self


NamesOfHold = Annotated[tuple[Key, ...], as_tuple, Field(min_length=1, max_length=200), distinct]
"""Every decision compares with all of them."""


class HoldScope(Scope):
    """A policy scope, and the customer's country (`region`) and traits (all equal)."""

    channels: Channels | None = None  # only those on which Tactful sends
    topics: NamesOfHold | None = None
    campaigns: NamesOfHold | None = None
    region: Country | None = None
    trait: Annotated[dict[str, Any], Field(min_length=1, max_length=20)] | None = None


class Hold(Document):
    """An operator's stop on a scope. Without `until` it lasts until it is lifted."""

    key: Key
    scope: HoldScope = HoldScope()
    mode: Literal["drop", "defer"]
    start: InstantField = Field(alias="from")
    until: InstantField | None = None
    reason: ReasonText
    placed_by: Text | None = None

    @model_validator(mode="after")
    def _check_order(self) -> "Hold":
        if self.until is not None and self.until <= self.start:
            raise FieldError("until", "`until` must be after `from`")
        return self
