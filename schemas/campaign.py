"""The campaign document, as marketers register it over HTTP, in files and in the console."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from schemas.documents import DocumentProblem, FieldError, is_stored, validate_document
from schemas.fields import (
    Channels,
    ClassField,
    Condition,
    Document,
    Duration,
    InstantField,
    IntentField,
    Key,
    Text,
    enum_member,
)
from schemas.locales import parse_locale
from schemas.times import DAY, parse_duration
from schemas.vocabulary import SUPPORTED_STRATEGIES, Class, Strategy

_LOCALE_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": r"^([A-Za-z]{2,3}|[IiXx][-_][A-Za-z0-9]{1,8})([-_][A-Za-z0-9]{1,8})*$"}
)
Locale = Annotated[str, AfterValidator(parse_locale), _LOCALE_SCHEMA]
"""A language tag, kept in its canonical spelling."""


def _check_locale(value: str, info: ValidationInfo) -> str:
    if not is_stored(info):
        parse_locale(value)
    return value


LocaleAsWritten = Annotated[str, AfterValidator(_check_locale), _LOCALE_SCHEMA]
"""A language tag, kept as it is written: findings point to the content under this name. A campaign that was saved when
any such text was taken keeps it: customers whose locale is spelt the same get that content.
"""


class Trigger(Document):
    """Which event triggers the campaign: its exact CloudEvents type and, optionally, a CEL condition."""

    event: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    when: Condition | None = None


def _validate_reentry(value: Any) -> Any:
    if value in ("always", "once"):
        return value
    if isinstance(value, str) and value.startswith("every "):
        try:
            parse_duration(value.removeprefix("every "))
        except ValueError as error:
            raise ValueError(f"`every` needs a duration: {error}") from None
        return value
    raise ValueError("must be `always`, `once` or `every <duration>`, such as `every 90d`")


Reentry = Annotated[str, BeforeValidator(_validate_reentry)]


StrategyField = Annotated[
    Strategy,
    enum_member(Strategy, SUPPORTED_STRATEGIES),
    WithJsonSchema({"type": "string", "enum": list(SUPPORTED_STRATEGIES)}),
]


class Campaign(Document):
    """What to send, to whom, and on which event. The form is the same over HTTP, in files and in simulations."""

    key: Key
    name: Text
    owner: Text
    class_: ClassField = Field(alias="class")
    intent: IntentField
    topic: Key | None = None
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    trigger: Trigger
    audience: Condition | None = None
    channels: Channels
    strategy: StrategyField = Strategy.FIRST
    fallback_after: SkipJsonSchema[Duration | None] = None
    ttl: Duration = 7 * DAY
    reentry: Reentry = "always"
    start: InstantField | None = None
    end: InstantField | None = None
    holdout: Annotated[float, Field(ge=0, le=100)] = 0
    default_locale: LocaleAsWritten
    content: dict[str, dict[LocaleAsWritten, dict[str, str]]]

    @model_validator(mode="after")
    def _check_consistency(self) -> "Campaign":
        if self.class_ is Class.MARKETING and self.topic is None:
            raise FieldError("topic", "a marketing campaign needs a `topic` that customers can switch off")
        if self.class_ is Class.TRANSACTIONAL and self.holdout:
            raise ValueError("a transactional message is never held out: remove `holdout`")
        if self.fallback_after is not None and self.strategy is not Strategy.FALLBACK:
            detail = "`fallback_after` belongs to strategy `fallback`, which is not available yet: remove it"
            raise FieldError("fallback_after", detail)
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise FieldError("end", "`start` must be before `end`")
        missing = [channel.value for channel in self.channels if channel.value not in self.content]
        if missing:
            raise FieldError("content", f"`content` lacks the channel `{missing[0]}`")
        unused = sorted(set(self.content) - {channel.value for channel in self.channels})
        if unused:
            raise FieldError("content", f"`content` has `{unused[0]}`, which `channels` does not name")
        return self

    @property
    def reentry_interval(self) -> int | None:
        """Microseconds of `every <duration>`, else None."""
        return parse_duration(self.reentry.removeprefix("every ")) if self.reentry.startswith("every ") else None


def read_stored_campaign(data: Any) -> Campaign:
    """A campaign that was saved before, by this version or an earlier one. Raises DocumentError if it cannot be used.

    It may be refused when it is saved again: see `unsupported_strategy_problems` and `LocaleAsWritten`.
    """
    return validate_document(Campaign, data, stored=True)


FALLBACK_DETAIL = (
    "the strategy `fallback` is not available yet: nothing would send on the next channel when the first one is not "
    "confirmed"
)
FALLBACK_REMEDY = "use `first`, the first channel that may send, or `all`, and remove `fallback_after`"


def unsupported_strategy_problems(document: Campaign) -> list[DocumentProblem]:
    """Why a new document is refused although it can be read: a strategy that delivery does not implement."""
    if document.strategy in SUPPORTED_STRATEGIES:
        return []
    return [("/strategy", "not_available", f"{FALLBACK_DETAIL}; {FALLBACK_REMEDY}")]
