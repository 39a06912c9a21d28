"""The customer document of the preference service, and its parts, which events and API calls change one by one."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from schemas.campaign import Locale
from schemas.consent_evidence import ConsentEvidenceFields
from schemas.countries import parse_country
from schemas.documents import FieldError
from schemas.fields import (
    ChannelField,
    ClassField,
    CustomerId,
    Document,
    InstantField,
    Key,
    Text,
    WallTime,
    as_tuple,
    distinct,
)
from schemas.policy import Days, Period, Zone
from schemas.vocabulary import DAYS

Country = Annotated[
    str,
    AfterValidator(parse_country),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$", "examples": ["DE"]}),
]
AddressText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class AddressEntry(Document):
    """Where the customer can be reached on one channel. `former`: since when another address has taken its place; no
    message goes to it any more.
    """

    channel: ChannelField
    address: AddressText
    verified: bool = False
    former: InstantField | None = None


class ConsentRecord(Document):
    """A recorded basis for marketing, or its refusal, with its proof. Topic `*` covers all topics.

    `wording`: the key of a kept text (`sha256:...`), or a label. `occasion`: what implied consent rests on.
    `requested`: when the customer asked, where a confirmation followed (double opt-in); `at` is then the instant of the
    `confirmation`. `imported`: it was given elsewhere, and is told by whoever brought it.
    """

    channel: ChannelField
    topic: Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,62})$")]
    status: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,30}$")]
    at: InstantField
    source: Text | None = None
    wording: Text | None = None
    basis: Text | None = None
    expires: InstantField | None = None
    evidence: ConsentEvidenceFields | None = None
    imported: bool = False
    requested: InstantField | None = None
    confirmation: ConsentEvidenceFields | None = None
    occasion: Literal["purchase", "inquiry"] | None = None


def _require_true(value: Any) -> Any:
    """`Literal[True]` takes 1 and 1.0 as well."""
    if value is not True:
        raise ValueError("must be true")
    return value


class OptOutEntry(Document):
    """What the customer switched off: all; or what matches each of class, channel and topic that is given."""

    all: Annotated[Literal[True], BeforeValidator(_require_true)] | None = None
    class_: ClassField | None = Field(default=None, alias="class")
    channel: ChannelField | None = None
    topic: Key | None = None

    @model_validator(mode="after")
    def _check_target(self) -> "OptOutEntry":
        is_limited = any(value is not None for value in (self.class_, self.channel, self.topic))
        if (self.all is not None) == is_limited:
            raise ValueError('must be {"all": true}, or name at least one of `class`, `channel` and `topic`')
        return self


class Frequency(Document):
    """The customer's own cap: at most `limit` marketing messages a day, week or month."""

    limit: Annotated[int, Field(ge=1, le=1000)]
    per: Period


class OwnQuietHours(Document):
    """The customer's own hours of silence, in local wall time."""

    days: Days = DAYS  # type: ignore[assignment]
    start: WallTime = Field(alias="from")
    end: WallTime = Field(alias="to")

    @model_validator(mode="after")
    def _check_not_empty(self) -> "OwnQuietHours":
        if self.start == self.end:
            raise FieldError("to", "`from` and `to` must differ")
        return self


class Customer(Document):
    """Traits, addresses, consent, opt-outs and own limits of one customer."""

    customer: CustomerId
    locale: Locale | None = None
    country: Country | None = None
    zone: Zone | None = None
    traits: Annotated[dict[str, Any], Field(max_length=200)] = Field(default_factory=dict)
    addresses: Annotated[tuple[AddressEntry, ...], as_tuple, Field(max_length=100)] = ()
    consent: Annotated[tuple[ConsentRecord, ...], as_tuple, Field(max_length=1000)] = ()
    opt_outs: Annotated[tuple[OptOutEntry, ...], as_tuple, Field(max_length=1000)] = ()
    paused_until: InstantField | None = None
    channel_order: Annotated[tuple[ChannelField, ...], as_tuple, distinct] = ()
    frequency: Frequency | None = None
    quiet_hours: Annotated[tuple[OwnQuietHours, ...], as_tuple, Field(max_length=50)] = ()
