"""The policy document compiled for evaluation: entries with resolved scopes, and which of them apply to which messages.

A policy is compiled once per version; every evaluation asks it which entries apply to a message. The answers depend
only on the message's attributes, of which there are few, so they are remembered per attribute value.

Entries that count contacts have a slot, a bit number from 0 on: bit `slot` of `slot_mask(attributes)` is set when the
entry counts contacts with these attributes. Slot 0 is the customer's own frequency limit. Slots are numbers within one
compiled policy and are never stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import schemas.policy
from schemas.customer import Frequency
from schemas.facts import FrequencyLimit as PreferredFrequency
from schemas.fields import Scope
from schemas.policy import Window
from schemas.times import format_duration
from schemas.vocabulary import DAYS, Class, Sensitivity
from schemas.words import channel_words, join_words
from services.orchestrator.policy.compiled_campaign import CompileCondition
from services.orchestrator.policy.quiet_windows import QuietWindow
from services.orchestrator.policy.scope import CompiledScope, MessageAttributes
from services.orchestrator.policy.time_zones import LONGEST_PERIOD, Zone, load_zone

CUSTOMER_CAP_ID = "customer-wish"
CUSTOMER_QUIET_HOURS_ID = "customer-quiet-hours"
"""Ids of the customer's own cap and quiet hours in verdicts. They are stored with decisions, so they never change."""
CUSTOMER_CAP_SLOT = 0
_CUSTOMER_CAP_SCOPE = CompiledScope(classes=frozenset({Class.MARKETING.value})).for_cap()
_MAX_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` contacts per window: `rolling` microseconds, or a calendar `period`."""

    id: str
    scope: CompiledScope
    limit: int
    rolling: int | None
    period: str
    in_customer_zone: bool
    """Whether calendar periods follow the customer's time zone instead of the organisation's."""
    drops: bool
    excludes_siblings: bool
    """Messages of the same event and campaign on other channels count once: true for caps that name no channels."""
    slot: int
    look_back: int = field(init=False)
    """Microseconds back from the evaluated instant within which contacts can matter."""
    window_text: str = field(init=False)
    """The window as documents write it: a duration, or a calendar period."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_text", self.period if self.rolling is None else format_duration(self.rolling))
        object.__setattr__(self, "look_back", LONGEST_PERIOD[self.period] if self.rolling is None else self.rolling)


@dataclass(frozen=True, slots=True)
class Gap:
    """No two contacts closer than `gap` microseconds."""

    id: str
    scope: CompiledScope
    gap: int
    slot: int


@dataclass(frozen=True, slots=True)
class HistoryRule:
    """A contact-history rule: nothing within `within` microseconds of certain contacts, or of a situation."""

    id: str
    scope: CompiledScope
    contacts: CompiledScope | None
    situation: str | None
    within: int
    while_open: bool
    lapses: int | None
    drops: bool
    slot: int
    contacts_in_words: str = ""
    """What it looks back at, where that is contacts: `message by e-mail with the intent ask_feedback`."""


@dataclass(frozen=True, slots=True)
class ApplicablePolicy:
    """The policy entries that apply to candidates with given attributes, and the slots in which they count contacts."""

    caps: tuple[Cap, ...]
    gaps: tuple[Gap, ...]
    histories: tuple[HistoryRule, ...]
    quiet_windows: tuple[QuietWindow, ...]
    slots: frozenset[int]
    sibling_slots: frozenset[int]
    """Slots of caps that name channels: there siblings count like other contacts."""
    dropping_caps: tuple[Cap, ...] = field(init=False)
    """The caps that suppress instead of deferring."""
    look_back: int = field(init=False)
    """The longest `look_back` of the dropping caps."""

    def __post_init__(self) -> None:
        dropping_caps = tuple(cap for cap in self.caps if cap.drops)
        object.__setattr__(self, "dropping_caps", dropping_caps)
        object.__setattr__(self, "look_back", max((cap.look_back for cap in dropping_caps), default=0))


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """One version of the policy. The two private dictionaries are caches, cleared when full."""

    document: schemas.policy.Policy = field(repr=False)
    version: int
    zone: Zone
    week_start: int
    unknown_zones: tuple[Zone, ...]
    required_topics: frozenset[str]
    caps: tuple[Cap, ...]
    gaps: tuple[Gap, ...]
    histories: tuple[HistoryRule, ...]
    quiet_windows: tuple[QuietWindow, ...]
    shadow_ids: frozenset[str]
    fail_open_campaigns: frozenset[str]
    behavioural_traits: frozenset[str] = frozenset()
    """Traits that marketing may use for customers who have consented, and for no others."""
    rule_settings: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The section `rules` of the document: the settings model of each rule that is configured there, by rule id."""
    _slot_masks: dict[MessageAttributes, int] = field(default_factory=dict, repr=False, compare=False)
    _applicable: dict[MessageAttributes, ApplicablePolicy] = field(default_factory=dict, repr=False, compare=False)

    def slot_mask(self, attributes: MessageAttributes) -> int:
        """Returns the slots in which contacts with these attributes count, as a bit mask."""
        found = self._slot_masks.get(attributes)
        if found is None:
            if len(self._slot_masks) >= _MAX_CACHED:
                self._slot_masks.clear()
            scopes = [(CUSTOMER_CAP_SLOT, _CUSTOMER_CAP_SCOPE), *((cap.slot, cap.scope) for cap in self.caps)]
            scopes += [(gap.slot, gap.scope) for gap in self.gaps]
            scopes += [(history.slot, history.contacts) for history in self.histories if history.contacts]
            found = self._slot_masks[attributes] = sum(1 << slot for slot, scope in scopes if scope.covers(attributes))
        return found

    def counts_in_slot(self, attributes: MessageAttributes, slot: int) -> bool:
        """Whether contacts with these attributes count in a slot."""
        return self.slot_mask(attributes) >> slot & 1 == 1

    def applicable_to(self, attributes: MessageAttributes) -> ApplicablePolicy:
        """Returns the entries that apply to candidates with these attributes."""
        found = self._applicable.get(attributes)
        if found is None:
            if len(self._applicable) >= _MAX_CACHED:
                self._applicable.clear()
            found = self._applicable[attributes] = self._find_applicable(attributes)
        return found

    def _find_applicable(self, attributes: MessageAttributes) -> ApplicablePolicy:
        caps = tuple(cap for cap in self.caps if cap.scope.covers(attributes))
        gaps = tuple(gap for gap in self.gaps if gap.scope.covers(attributes))
        histories = tuple(history for history in self.histories if history.scope.covers(attributes))
        quiet_windows = tuple(entry for entry in self.quiet_windows if entry.scope.covers(attributes))
        slots = {cap.slot for cap in caps} | {gap.slot for gap in gaps}
        slots |= {history.slot for history in histories if history.contacts}
        if _CUSTOMER_CAP_SCOPE.covers(attributes):
            slots.add(CUSTOMER_CAP_SLOT)
        sibling_slots = frozenset(cap.slot for cap in caps if not cap.excludes_siblings)
        return ApplicablePolicy(caps, gaps, histories, quiet_windows, frozenset(slots), sibling_slots)


def compile_policy(
    document: schemas.policy.Policy, version: int, compile_condition: CompileCondition | None = None
) -> CompiledPolicy:
    """Compiles a policy document. `compile_condition`, if given, checks the conditions of its situations."""
    if compile_condition is not None:
        for kind in document.situations:
            for trigger in (*kind.opens, *kind.closes):
                if trigger.when is not None:
                    compile_condition(trigger.when)
    org_zone = _load_zone(document.zone)
    lapses = {kind.kind: kind.lapses for kind in document.situations}
    slot = iter(range(CUSTOMER_CAP_SLOT + 1, 1_000_000))
    return CompiledPolicy(
        document=document,
        version=version,
        zone=org_zone,
        week_start=DAYS.index(document.week_start[:3]),
        unknown_zones=tuple(map(_load_zone, document.unknown_zones or (document.zone,))),
        required_topics=frozenset(topic.key for topic in document.topics if topic.required),
        caps=tuple(_compile_cap(cap, next(slot)) for cap in document.frequency_caps),
        gaps=tuple(Gap(gap.id, CompiledScope.from_fields(gap.scope), gap.gap, next(slot)) for gap in document.min_gaps),
        histories=tuple(_compile_history(rule, lapses, next(slot)) for rule in document.contact_history),
        quiet_windows=tuple(
            QuietWindow.from_minutes(
                entry.id, entry.days, entry.start, entry.end, CompiledScope.from_fields(entry.scope)
            )
            for entry in document.quiet_hours
        ),
        shadow_ids=frozenset(document.shadow),
        fail_open_campaigns=frozenset(document.fail_open),
        behavioural_traits=document.traits_of(Sensitivity.BEHAVIOURAL),
        rule_settings={rule: settings for rule, settings in document.rules or () if settings is not None},
    )


def customer_cap(frequency: PreferredFrequency | Frequency) -> Cap:
    """Returns the customer's own frequency limit as a cap on marketing."""
    return _customer_cap(frequency.limit, str(frequency.per))


@lru_cache(maxsize=1024)
def _customer_cap(limit: int, per: str) -> Cap:
    return Cap(CUSTOMER_CAP_ID, _CUSTOMER_CAP_SCOPE, limit, None, per, True, False, True, CUSTOMER_CAP_SLOT)


def _load_zone(name: str) -> Zone:
    found = load_zone(name)
    if found is None:
        raise ValueError(f"`{name}` is not a time zone of the tz database")
    return found


def _compile_cap(cap: schemas.policy.FrequencyCap, slot: int) -> Cap:
    window: Window = cap.window
    return Cap(
        id=cap.id,
        scope=CompiledScope.from_fields(cap.scope).for_cap(),
        limit=cap.limit,
        rolling=window.rolling,
        period=window.calendar or "",
        in_customer_zone=window.zone != "org",
        drops=cap.on_exceed == "drop",
        excludes_siblings=cap.scope.channels is None,
        slot=slot,
    )


def _compile_history(rule: schemas.policy.ContactHistoryRule, lapses: dict[str, int | None], slot: int) -> HistoryRule:
    never, after = rule.never, rule.never.after
    return HistoryRule(
        id=rule.id,
        scope=CompiledScope.from_fields(rule.scope),
        contacts=None if after.contacts is None else CompiledScope.from_fields(after.contacts),
        situation=after.situation,
        within=never.within,
        while_open=never.while_open,
        lapses=None if after.situation is None else lapses.get(after.situation),
        drops=rule.on_match == "drop",
        slot=slot,
        contacts_in_words="" if after.contacts is None else _describe_contacts(after.contacts),
    )


def _describe_contacts(scope: Scope) -> str:
    parts = [
        f"{join_words(map(str, scope.classes), 'or')} message" if scope.classes else "message",
        f"by {join_words(map(channel_words, scope.channels), 'or')}" if scope.channels else "",
        f"with the intent {join_words(map(str, scope.intents), 'or')}" if scope.intents else "",
        f"about {join_words(scope.topics, 'or')}" if scope.topics else "",
        f"of the campaign {join_words(scope.campaigns, 'or')}" if scope.campaigns else "",
    ]
    return " ".join(part for part in parts if part)
