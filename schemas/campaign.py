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

from schemas.documents import FieldError, is_stored, validate_document
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
from schemas.times import DAY, MINUTE, format_duration, parse_duration
from schemas.vocabulary import Class, Strategy

MIN_FALLBACK_AFTER = MINUTE
"""Less would try the next channel while most handsets have not answered yet."""
MAX_FALLBACK_AFTER = 7 * DAY

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
    strategy: Annotated[Strategy, enum_member(Strategy)] = Strategy.FIRST
    fallback_after: Duration | None = None
    ttl: Duration = 7 * DAY
    reentry: Reentry = "always"
    start: InstantField | None = None
    end: InstantField | None = None
    holdout: Annotated[float, Field(ge=0, le=100)] = 0
    default_locale: LocaleAsWritten
    content: dict[str, dict[LocaleAsWritten, dict[str, str]]]

    @model_validator(mode="after")
    def _check_consistency(self, info: ValidationInfo) -> "Campaign":
        if self.class_ is Class.MARKETING and self.topic is None:
            raise FieldError("topic", "a marketing campaign needs a `topic` that customers can switch off")
        if self.class_ is Class.TRANSACTIONAL and self.holdout:
            raise ValueError("a transactional message is never held out: remove `holdout`")
        if not is_stored(info):
            self._check_fallback()
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise FieldError("end", "`start` must be before `end`")
        missing = [channel.value for channel in self.channels if channel.value not in self.content]
        if missing:
            raise FieldError("content", f"`content` lacks the channel `{missing[0]}`")
        unused = sorted(set(self.content) - {channel.value for channel in self.channels})
        if unused:
            raise FieldError("content", f"`content` has `{unused[0]}`, which `channels` does not name")
        return self

    def _check_fallback(self) -> None:
        """Versions that were saved before `fallback` fell back may lack `fallback_after`, and then act as `first`."""
        if self.strategy is not Strategy.FALLBACK:
            if self.fallback_after is not None:
                raise FieldError("fallback_after", "`fallback_after` belongs to the strategy `fallback`: remove it")
            return
        if self.fallback_after is None:
            detail = "the strategy `fallback` needs it: for how long a delivery may stay unconfirmed, such as `30m`"
            raise FieldError("fallback_after", detail)
        if not MIN_FALLBACK_AFTER <= self.fallback_after <= MAX_FALLBACK_AFTER:
            limits = f"{format_duration(MIN_FALLBACK_AFTER)} to {format_duration(MAX_FALLBACK_AFTER)}"
            raise FieldError("fallback_after", f"it must be {limits}")

    @property
    def reentry_interval(self) -> int | None:
        """Microseconds of `every <duration>`, else None."""
        return parse_duration(self.reentry.removeprefix("every ")) if self.reentry.startswith("every ") else None


def read_stored_campaign(data: Any) -> Campaign:
    """A campaign that was saved before, by this version or an earlier one. Raises DocumentError if it cannot be used.

    It may be refused when it is saved again: see `Campaign._check_fallback` and `LocaleAsWritten`.
    """
    return validate_document(Campaign, data, stored=True)
