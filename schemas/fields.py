"""Field types that documents share: keys, durations, instants, enumerations and scopes."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from schemas.contact_channels import CONTACT_CHANNELS, find_contact_channel
from schemas.ids import KEY_PATTERN, SITUATION_KIND_PATTERN, describe_invalid_id
from schemas.text import is_visible
from schemas.times import format_duration, format_instant, parse_duration, parse_instant
from schemas.vocabulary import Channel, Class, Intent


class Document(BaseModel):
    """Base of the documents that people write: unknown fields are refused, and types are never converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=True)


def _parse_duration(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("not a duration: a whole number above 0 and one of s, m, h, d, w, such as 30d")
    return parse_duration(value)


def _parse_instant(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("not an RFC 3339 time with a zone, such as 2026-03-01T09:00:00Z")
    return parse_instant(value)


def _parse_wall_time(value: Any) -> int:
    """Convert a wall time HH:MM to minutes since local midnight."""
    if not isinstance(value, str) or len(value) != 5 or value[2] != ":" or not (value[:2] + value[3:]).isdecimal():
        raise ValueError('not a wall time such as "21:00"; in YAML put it in quotes')
    hours, minutes = int(value[:2]), int(value[3:])
    if hours > 23 or minutes > 59:
        raise ValueError("a wall time is between 00:00 and 23:59")
    return hours * 60 + minutes


def _validate_id(value: str) -> str:
    problem = describe_invalid_id(value)
    if problem:
        raise PydanticCustomError("bad_id", "the id {problem}", {"problem": problem})
    return value


def _require_visible(value: str) -> str:
    if not is_visible(value):
        raise PydanticCustomError("blank", "consists of blanks, marks or invisible characters alone")
    return value


def _require_distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names something twice")
    return values


def _enum_validator(enum_type: type) -> BeforeValidator:
    """Accepts the text of an enumeration's member, although models are strict."""
    words = [str(member) for member in enum_type]  # type: ignore[attr-defined]

    def read(value: Any) -> Any:
        if isinstance(value, enum_type):
            return value
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"`{value}` is none of: {', '.join(words)}")
        return enum_type(value)

    return BeforeValidator(read)


def _list_to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
SituationKindName = Annotated[str, StringConstraints(pattern=SITUATION_KIND_PATTERN)]
CustomerId = Annotated[str, AfterValidator(_validate_id)]
EventSource = Annotated[str, AfterValidator(_validate_id)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ReasonText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_require_visible)
]
"""Why somebody did something, for whoever reads it later: blanks and invisible characters alone are no reason."""
Duration = Annotated[
    int,
    BeforeValidator(_parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[smhdw]$", "examples": ["30d"]}),
]
InstantField = Annotated[
    int,
    BeforeValidator(_parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
WallTime = Annotated[
    int,
    BeforeValidator(_parse_wall_time),
    PlainSerializer(lambda minutes: f"{minutes // 60:02d}:{minutes % 60:02d}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]
ClassField = Annotated[Class, _enum_validator(Class)]
IntentField = Annotated[Intent, _enum_validator(Intent)]
ChannelField = Annotated[Channel, _enum_validator(Channel)]
Condition = Annotated[str, StringConstraints(min_length=1, max_length=4000)]

enum_member = _enum_validator
as_tuple = BeforeValidator(_list_to_tuple)
distinct = AfterValidator(_require_distinct)
visible = AfterValidator(_require_visible)

Channels = Annotated[tuple[ChannelField, ...], as_tuple, Field(min_length=1), distinct]


def _read_contact_channel(value: Any) -> Any:
    found = find_contact_channel(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"`{value}` is none of: {', '.join(CONTACT_CHANNELS)}")
    return found


ContactChannel = Annotated[
    str,
    BeforeValidator(_read_contact_channel),
    WithJsonSchema({"type": "string", "enum": list(CONTACT_CHANNELS)}),
]
"""A channel on which Tactful sends, or one on which other tools may have contacted the customer."""


class Scope(Document):
    """What a rule covers. An absent field matches all, except `classes`: absent means service and marketing."""

    channels: Annotated[tuple[ContactChannel, ...], as_tuple, Field(min_length=1), distinct] | None = None
    topics: Annotated[tuple[Key, ...], as_tuple, Field(min_length=1), distinct] | None = None
    classes: Annotated[tuple[ClassField, ...], as_tuple, Field(min_length=1), distinct] | None = None
    intents: Annotated[tuple[IntentField, ...], as_tuple, Field(min_length=1), distinct] | None = None
    campaigns: Annotated[tuple[Key, ...], as_tuple, Field(min_length=1), distinct] | None = None
