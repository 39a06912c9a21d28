"""The policy document: one for the whole organisation."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, create_model, model_validator
from pydantic.json_schema import SkipJsonSchema

from schemas.documents import FieldError
from schemas.fields import (
    ChannelField,
    Condition,
    Document,
    Duration,
    Key,
    Scope,
    SituationKindName,
    Text,
    WallTime,
    as_tuple,
    distinct,
    enum_member,
)
from schemas.rule_registry import RULE_REGISTRY
from schemas.vocabulary import DAYS, Sensitivity
from schemas.zone_spellings import parse_zone

Zone = Annotated[str, AfterValidator(parse_zone)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
"""A language by its two letters of ISO 639-1, or three where it has no two."""
OnExceed = Literal["defer", "drop"]
Period = Literal["day", "week", "month"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WeekDay = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Days = Annotated[tuple[Day, ...], as_tuple, Field(min_length=1), distinct]


TopicText = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class TopicTexts(Document):
    """The texts of a topic in one language; what is absent is shown as the topic itself has it."""

    name: Text | None = None
    description: TopicText | None = None
    group: Text | None = None
    reason: TopicText | None = None


class Topic(Document):
    """A category of messages that opt-outs and consents name; a required one cannot be switched off.

    The preference centre shows its texts. `class`: that of its messages, marketing unless it says service, which needs
    no consent. `channels`: which it may use; empty: each. `reason`: why a required one always comes. `double_opt_in`:
    the channels on which a consent to it counts once the customer has confirmed it.
    """

    key: Key
    name: Text
    required: bool = False
    double_opt_in: Annotated[tuple[ChannelField, ...], as_tuple, distinct] = ()
    class_: Literal["service", "marketing"] | None = Field(default=None, alias="class")
    description: TopicText | None = None
    group: Text | None = None
    channels: Annotated[tuple[ChannelField, ...], as_tuple, distinct] = ()
    reason: TopicText | None = None
    translations: Annotated[dict[Language, TopicTexts], Field(max_length=100)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_reason(self) -> "Topic":
        if not self.required and (self.reason or any(texts.reason for texts in self.translations.values())):
            raise FieldError("reason", "`reason` says why a required topic always comes, and this one is not required")
        return self


class TraitRule(Document):
    """A trait of customers, by its name directly below `customer.traits`, and its sensitivity; it counts for all that
    is below the trait as well. A trait that the policy does not name is plain.
    """

    name: Text
    sensitivity: Annotated[Sensitivity, enum_member(Sensitivity)]


class SituationTrigger(Document):
    """An event type, and optionally a CEL condition over `event`, that opens or closes a situation."""

    event: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    when: Condition | None = None


class SituationKind(Document):
    """Which events open and close an interval in a customer's history; `ref` is a path such as `data.case`."""

    kind: SituationKindName
    opens: Annotated[tuple[SituationTrigger, ...], as_tuple, Field(min_length=1)]
    closes: Annotated[tuple[SituationTrigger, ...], as_tuple] = ()
    ref: Annotated[str, StringConstraints(pattern=r"^data(\.[A-Za-z_][A-Za-z0-9_]*)+$")] | None = None
    lapses: Duration | None = None


def _validate_after(value: Any) -> Any:
    if isinstance(value, dict) and ("contacts" in value) == ("situation" in value):
        raise ValueError("needs either `contacts` with a scope or `situation` with a kind")
    return value


class After(Document):
    """What a contact-history rule looks back at: contacts in a scope, or situations of a kind."""

    contacts: Scope | None = None
    situation: SituationKindName | None = None


class Never(Document):
    """Never within `within` of `after`; `while_open` adds the time at which the situation is open."""

    after: Annotated[After, BeforeValidator(_validate_after)]
    within: Duration
    while_open: bool = False


class ContactHistoryRule(Document):
    """Contact-history rule: never B (the scope) within N of A."""

    id: Key
    scope: Scope = Scope()
    never: Never
    on_match: OnExceed


class Window(Document):
    """`rolling` is a duration; `calendar` a period of the customer's or the organisation's calendar."""

    rolling: Duration | None = None
    calendar: Period | None = None
    zone: Literal["customer", "org"] | None = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> "Window":
        if (self.rolling is None) == (self.calendar is None):
            raise ValueError("needs either `rolling` with a duration or `calendar` with day, week or month")
        if self.rolling is not None and self.zone is not None:
            raise FieldError("zone", "`zone` belongs to calendar windows")
        return self


class FrequencyCap(Document):
    """At most `limit` contacts in scope per window."""

    id: Key
    scope: Scope = Scope()
    limit: Annotated[int, Field(ge=1, le=100_000)]
    window: Window
    on_exceed: OnExceed


class MinGap(Document):
    """No two contacts in scope closer than `gap`."""

    id: Key
    scope: Scope = Scope()
    gap: Duration


class QuietHours(Document):
    """Local wall times of silence on some days; may cross midnight."""

    id: Key
    scope: Scope = Scope()
    days: Days = DAYS  # type: ignore[assignment]
    start: WallTime = Field(alias="from")
    end: WallTime = Field(alias="to")

    @model_validator(mode="after")
    def _check_not_empty(self) -> "QuietHours":
        if self.start == self.end:
            raise FieldError("to", "`from` and `to` must differ")
        return self


class Holdout(Document):
    """The global control group; applies to marketing only."""

    percent: Annotated[float, Field(ge=0, le=100)]
    salt: Text


def _rules_section() -> Any:
    """The type of the field `rules`: settings by rule id. JSON Schema leaves it out while no rule has settings."""
    settings = {rule.id: rule.settings for rule in RULE_REGISTRY.declarations.values() if rule.settings is not None}
    section = create_model(
        "RuleSettings",
        __base__=Document,
        __doc__="Settings of rules, by the id of the rule.",
        **{id: (model | None, None) for id, model in settings.items()},  # type: ignore[call-overload]
    )
    return section | None if settings else SkipJsonSchema[section | None]  # type: ignore[misc, valid-type]


if TYPE_CHECKING:
    RulesSection = Document | None
else:
    RulesSection = _rules_section()


class Policy(Document):
    """Caps, gaps, quiet hours, history rules, situations, topics, sensitive traits and holdout."""

    zone: Zone
    week_start: WeekDay = "monday"
    unknown_zones: Annotated[tuple[Zone, ...], as_tuple, Field(min_length=1), distinct] | None = None
    topics: Annotated[tuple[Topic, ...], as_tuple] = ()
    traits: Annotated[tuple[TraitRule, ...], as_tuple, Field(max_length=200)] = ()
    situations: Annotated[tuple[SituationKind, ...], as_tuple] = ()
    contact_history: Annotated[tuple[ContactHistoryRule, ...], as_tuple] = ()
    frequency_caps: Annotated[tuple[FrequencyCap, ...], as_tuple] = ()
    min_gaps: Annotated[tuple[MinGap, ...], as_tuple] = ()
    quiet_hours: Annotated[tuple[QuietHours, ...], as_tuple] = ()
    holdout: Holdout | None = None
    rules: RulesSection = None
    shadow: Annotated[tuple[Key, ...], as_tuple, distinct] = ()
    fail_open: Annotated[tuple[Key, ...], as_tuple, distinct] = ()

    @model_validator(mode="after")
    def _check_consistency(self) -> "Policy":
        ids = [rule.id for rule in self.entries()]
        _require_unique("id", ids)
        _require_unique("topic", [topic.key for topic in self.topics])
        _require_unique("trait", [trait.name for trait in self.traits])
        _require_unique("situation", [situation.kind for situation in self.situations])
        unknown = [rule for rule in self.shadow if rule not in ids]
        if unknown:
            raise FieldError("shadow", f"`shadow` names `{unknown[0]}`, which is not a rule of this policy")
        kinds = {situation.kind: situation for situation in self.situations}
        for rule in self.contact_history:
            kind = rule.never.after.situation
            if kind is None:
                if rule.never.while_open:
                    raise ValueError(f"`{rule.id}`: `while_open` belongs to situations")
            elif kind not in kinds:
                raise ValueError(f"`{rule.id}` names the situation `{kind}`, which `situations` does not define")
            elif rule.never.while_open and kinds[kind].lapses is None:
                raise ValueError(
                    f"`{rule.id}` has `while_open`, so the situation `{kind}` needs `lapses`: "
                    "one lost closing event would silence a customer for ever"
                )
        return self

    def entries(self) -> tuple[ContactHistoryRule | FrequencyCap | MinGap | QuietHours, ...]:
        """All entries that have an id, in document order."""
        return (*self.contact_history, *self.frequency_caps, *self.min_gaps, *self.quiet_hours)

    def traits_of(self, sensitivity: Sensitivity) -> frozenset[str]:
        """The names of the traits that are declared to be of this sensitivity."""
        return frozenset(trait.name for trait in self.traits if trait.sensitivity is sensitivity)


def _require_unique(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the {what} `{name}` appears twice")
        seen.add(name)
