"""The policy, ready to judge: its entries with their scopes resolved, and which of them concern whom."""

from dataclasses import dataclass, field
from functools import lru_cache

import schemas.policy
from schemas.customer import Frequency
from schemas.facts import Frequency as Wish
from schemas.policy import Window
from schemas.vocabulary import DAYS, Class
from services.orchestrator.policy.compiled_campaign import CompileCondition
from services.orchestrator.policy.quiet_windows import Quiet
from services.orchestrator.policy.scope import Kind, Scope
from services.orchestrator.policy.time_zones import LONGEST_PERIOD, Zone, zone

CUSTOMER_WISH = "customer-wish"
CUSTOMER_QUIET_HOURS = "customer-quiet-hours"
WISH_SLOT = 0
_WISH_SCOPE = Scope(classes=frozenset({Class.MARKETING.value})).of_a_cap()
_MOST_KINDS = 4096


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` contacts per window: `rolling` microseconds, or a calendar `period`."""

    id: str
    scope: Scope
    limit: int
    rolling: int | None
    period: str
    of_customer: bool
    """Whether the calendar is in the customer's zone."""
    drops: bool
    one_touch: bool
    """A cap that names no channels leaves siblings out."""
    slot: int
    span: int = field(init=False)
    """How far back it may have to look."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "span", LONGEST_PERIOD[self.period] if self.rolling is None else self.rolling)


@dataclass(frozen=True, slots=True)
class Gap:
    """No two contacts closer than `gap`."""

    id: str
    scope: Scope
    gap: int
    slot: int


@dataclass(frozen=True, slots=True)
class History:
    """Never within `within` of contacts of a scope, or of a situation."""

    id: str
    scope: Scope
    contacts: Scope | None
    situation: str | None
    within: int
    while_open: bool
    lapses: int | None
    drops: bool
    slot: int


@dataclass(frozen=True, slots=True)
class Concern:
    """The entries that concern candidates of one kind, and the slots they count contacts in."""

    caps: tuple[Cap, ...]
    gaps: tuple[Gap, ...]
    histories: tuple[History, ...]
    quiet: tuple[Quiet, ...]
    slots: frozenset[int]
    touchy: frozenset[int]
    """Slots of caps that name channels, in which siblings count like all others."""
    dropping: tuple[Cap, ...] = field(init=False)
    """The caps that drop."""
    reach: int = field(init=False)
    """How far back these may have to look."""

    def __post_init__(self) -> None:
        dropping = tuple(cap for cap in self.caps if cap.drops)
        object.__setattr__(self, "dropping", dropping)
        object.__setattr__(self, "reach", max((cap.span for cap in dropping), default=0))


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the policy."""

    document: schemas.policy.Policy = field(repr=False)
    version: int
    zone: Zone
    week_start: int
    unknown_zones: tuple[Zone, ...]
    required: frozenset[str]
    caps: tuple[Cap, ...]
    gaps: tuple[Gap, ...]
    histories: tuple[History, ...]
    quiet: tuple[Quiet, ...]
    shadow: frozenset[str]
    fail_open: frozenset[str]
    _slots: dict[Kind, int] = field(default_factory=dict, repr=False, compare=False)
    _concerns: dict[Kind, Concern] = field(default_factory=dict, repr=False, compare=False)

    def slots(self, kind: Kind) -> int:
        """The slots in which contacts of this kind count, a bit for each; remembered."""
        found = self._slots.get(kind)
        if found is None:
            if len(self._slots) >= _MOST_KINDS:
                self._slots.clear()
            scopes = [(WISH_SLOT, _WISH_SCOPE), *((cap.slot, cap.scope) for cap in self.caps)]
            scopes += [(gap.slot, gap.scope) for gap in self.gaps]
            scopes += [(history.slot, history.contacts) for history in self.histories if history.contacts]
            found = self._slots[kind] = sum(1 << slot for slot, scope in scopes if scope.covers(kind))
        return found

    def counts(self, kind: Kind, slot: int) -> bool:
        """Whether contacts of this kind count in a slot."""
        return self.slots(kind) >> slot & 1 == 1

    def concern(self, kind: Kind) -> Concern:
        """The entries that concern candidates of this kind; remembered."""
        found = self._concerns.get(kind)
        if found is None:
            if len(self._concerns) >= _MOST_KINDS:
                self._concerns.clear()
            found = self._concerns[kind] = self._look(kind)
        return found

    def _look(self, kind: Kind) -> Concern:
        caps = tuple(cap for cap in self.caps if cap.scope.covers(kind))
        gaps = tuple(gap for gap in self.gaps if gap.scope.covers(kind))
        histories = tuple(history for history in self.histories if history.scope.covers(kind))
        quiet = tuple(entry for entry in self.quiet if entry.scope.covers(kind))
        slots = {cap.slot for cap in caps} | {gap.slot for gap in gaps}
        slots |= {history.slot for history in histories if history.contacts}
        if _WISH_SCOPE.covers(kind):
            slots.add(WISH_SLOT)
        touchy = frozenset(cap.slot for cap in caps if not cap.one_touch)
        return Concern(caps, gaps, histories, quiet, frozenset(slots), touchy)


def compile_policy(
    document: schemas.policy.Policy, version: int, compile_condition: CompileCondition | None = None
) -> Policy:
    """The document, ready to judge. With `compile_condition`, its situations' conditions are tried as well."""
    if compile_condition is not None:
        for kind in document.situations:
            for trigger in (*kind.opens, *kind.closes):
                if trigger.when is not None:
                    compile_condition(trigger.when)
    ours = _zone(document.zone)
    lapses = {kind.kind: kind.lapses for kind in document.situations}
    slot = iter(range(WISH_SLOT + 1, 1_000_000))
    return Policy(
        document=document,
        version=version,
        zone=ours,
        week_start=DAYS.index(document.week_start[:3]),
        unknown_zones=tuple(map(_zone, document.unknown_zones or (document.zone,))),
        required=frozenset(topic.key for topic in document.topics if topic.required),
        caps=tuple(_cap(cap, next(slot)) for cap in document.frequency_caps),
        gaps=tuple(Gap(gap.id, Scope.of(gap.scope), gap.gap, next(slot)) for gap in document.min_gaps),
        histories=tuple(_history(rule, lapses, next(slot)) for rule in document.contact_history),
        quiet=tuple(
            Quiet.of(entry.id, entry.days, entry.start, entry.end, Scope.of(entry.scope))
            for entry in document.quiet_hours
        ),
        shadow=frozenset(document.shadow),
        fail_open=frozenset(document.fail_open),
    )


def wish(frequency: Wish | Frequency) -> Cap:
    """The customer's own wish as a cap on marketing."""
    return _wish(frequency.limit, str(frequency.per))


@lru_cache(maxsize=1024)
def _wish(limit: int, per: str) -> Cap:
    return Cap(CUSTOMER_WISH, _WISH_SCOPE, limit, None, per, True, False, True, WISH_SLOT)


def _zone(name: str) -> Zone:
    found = zone(name)
    if found is None:
        raise ValueError(f"`{name}` is no zone of the tz database")
    return found


def _cap(cap: schemas.policy.FrequencyCap, slot: int) -> Cap:
    window: Window = cap.window
    return Cap(
        id=cap.id,
        scope=Scope.of(cap.scope).of_a_cap(),
        limit=cap.limit,
        rolling=window.rolling,
        period=window.calendar or "",
        of_customer=window.zone != "org",
        drops=cap.on_exceed == "drop",
        one_touch=cap.scope.channels is None,
        slot=slot,
    )


def _history(rule: schemas.policy.ContactHistoryRule, lapses: dict[str, int | None], slot: int) -> History:
    never, after = rule.never, rule.never.after
    return History(
        id=rule.id,
        scope=Scope.of(rule.scope),
        contacts=None if after.contacts is None else Scope.of(after.contacts),
        situation=after.situation,
        within=never.within,
        while_open=never.while_open,
        lapses=None if after.situation is None else lapses.get(after.situation),
        drops=rule.on_match == "drop",
        slot=slot,
    )
