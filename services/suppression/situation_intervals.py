"""Situations, pure: events open and close intervals in a customer's history.

The meaning is that of docs/policy.md, "Contact history": whether an interval is open is told in order of arrival,
except that one past its lapse is open no more.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from schemas.event import Event, InvalidEvent
from schemas.facts import Situation
from schemas.ids import SITUATION_KIND_PATTERN
from schemas.policy import SituationKind
from schemas.times import Instant
from services.condition import ConditionError

SITUATION_OPENED = "tactful.situation.opened"
SITUATION_CLOSED = "tactful.situation.closed"
CONDITION_VARIABLES = frozenset({"event.type", "event.time", "event.data"})

MAX_REF_LENGTH = 256
"""Characters of a canonical ref; a longer one is known by its hash."""
MAX_UNCOMPACTED = 64
"""Intervals that a customer keeps before those that can decide nothing any more are dropped."""

Intervals: TypeAlias = tuple[Situation, ...]
EventCondition: TypeAlias = Callable[[Mapping[str, Any]], bool]
CompileCondition: TypeAlias = Callable[[str, frozenset[str]], EventCondition]

_KIND_PATTERN = re.compile(SITUATION_KIND_PATTERN)


class SituationRef(NamedTuple):
    """What an event says about one situation, known by its kind and its canonical ref."""

    kind: str
    ref: str


class SituationTransitions(NamedTuple):
    """What an event closes and, after that, opens."""

    closes: tuple[SituationRef, ...]
    opens: tuple[SituationRef, ...]


class SituationChange(NamedTuple):
    """One step of a customer's history: a sign that did something. `opened` False means closed."""

    situation: SituationRef
    opened: bool


class IntervalUpdate(NamedTuple):
    """The intervals after an event, what it changed, and how many of its closings met nothing open."""

    intervals: Intervals
    changes: tuple[SituationChange, ...]
    ignored: int


class _SituationTrigger(NamedTuple):
    kind: str
    opens: bool
    when: EventCondition | None
    ref: tuple[str, ...]


class SituationKinds:
    """The situations of a policy, ready to read events. `lapses` holds microseconds by kind."""

    def __init__(self, triggers: Mapping[str, tuple[_SituationTrigger, ...]], lapses: Mapping[str, int | None]) -> None:
        self._triggers = triggers
        self.lapses = lapses

    def handles(self, event_type: str) -> bool:
        """Whether events of this type can open or close anything."""
        return event_type in self._triggers or event_type in (SITUATION_OPENED, SITUATION_CLOSED)

    def read_transitions(self, event: Event, data: Mapping[str, Any]) -> SituationTransitions:
        """What the event closes and opens. A type error in a condition opens and does not close.

        Raises BadEvent when a built-in event names no kind.
        """
        closes: list[SituationRef] = []
        opens: list[SituationRef] = []
        if event.type in (SITUATION_OPENED, SITUATION_CLOSED):
            (opens if event.type == SITUATION_OPENED else closes).append(_parse_situation_ref(data))
        variables = {"event": {"type": event.type, "time": event.time, "data": data}}
        for trigger in self._triggers.get(event.type, ()):
            if _is_met(trigger, variables):
                (opens if trigger.opens else closes).append(SituationRef(trigger.kind, _read_ref(data, trigger.ref)))
        return SituationTransitions(tuple(dict.fromkeys(closes)), tuple(dict.fromkeys(opens)))

    def is_open(self, interval: Situation, at: Instant) -> bool:
        """Whether it counts as open for an event of that time: not closed yet and not past its lapse."""
        if interval.closed is not None:
            return False
        lapse = self.lapses.get(interval.kind)
        return lapse is None or at < interval.opened + lapse


def compile_kinds(situations: Sequence[SituationKind], compile_condition: CompileCondition) -> SituationKinds:
    """The policy's situations made ready. Raises what `compile_condition` raises for a text that is no condition."""
    triggers: dict[str, tuple[_SituationTrigger, ...]] = {}
    for kind in situations:
        path = tuple(kind.ref.split(".")[1:]) if kind.ref else ()
        for opens, sources in ((False, kind.closes), (True, kind.opens)):
            for source in sources:
                when = None if source.when is None else compile_condition(source.when, CONDITION_VARIABLES)
                triggers[source.event] = (
                    *triggers.get(source.event, ()),
                    _SituationTrigger(kind.kind, opens, when, path),
                )
    return SituationKinds(triggers, {kind.kind: kind.lapses for kind in situations})


def apply_event(intervals: Intervals, event: Event, data: Mapping[str, Any], kinds: SituationKinds) -> Intervals | None:
    """The customer's intervals after the event, or None when its type does not concern situations. Raises BadEvent."""
    if not kinds.handles(event.type):
        return None
    return apply_transitions(intervals, kinds.read_transitions(event, data), event.time, kinds).intervals


def apply_transitions(
    intervals: Intervals, transitions: SituationTransitions, at: Instant, kinds: SituationKinds
) -> IntervalUpdate:
    """First the closings, then the openings, of one event of time `at`."""
    result = list(intervals)
    changes: list[SituationChange] = []
    ignored = 0
    for situation in transitions.closes:
        index = _open_index(result, situation, at, kinds)
        if index is None:
            ignored += 1
        else:
            found = result[index]
            result[index] = Situation(found.kind, found.ref, found.opened, at)
            changes.append(SituationChange(situation, False))
    for situation in transitions.opens:
        if _open_index(result, situation, at, kinds) is None:
            result.append(Situation(situation.kind, situation.ref, at))
            changes.append(SituationChange(situation, True))
    if not changes:
        return IntervalUpdate(intervals, (), ignored)
    return IntervalUpdate(_compact(result, kinds), tuple(changes), ignored)


def canonical_ref(value: Any) -> str:
    """The text under which a JSON value is compared: keys sorted, 1.0 as 1. Empty for None: no ref."""
    if value is None:
        return ""
    text = json.dumps(_normalise_numbers(value), sort_keys=True, separators=(",", ":"))
    return text if len(text) <= MAX_REF_LENGTH else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _normalise_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _normalise_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normalise_numbers(item) for item in value]
    return value


def _parse_situation_ref(data: Mapping[str, Any]) -> SituationRef:
    kind = data.get("kind")
    if not isinstance(kind, str) or not _KIND_PATTERN.fullmatch(kind):
        raise InvalidEvent("/data/kind", "must name a situation's kind, such as complaint")
    return SituationRef(kind, canonical_ref(data.get("ref")))


def _is_met(trigger: _SituationTrigger, variables: Mapping[str, Any]) -> bool:
    if trigger.when is None:
        return True
    try:
        return trigger.when(variables)
    except ConditionError:
        return trigger.opens


def _read_ref(data: Mapping[str, Any], path: Iterable[str]) -> str:
    if not path:
        return ""
    value: Any = data
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return canonical_ref(value)


def _open_index(
    intervals: Sequence[Situation], situation: SituationRef, at: Instant, kinds: SituationKinds
) -> int | None:
    for index in range(len(intervals) - 1, -1, -1):
        if intervals[index].kind == situation.kind and intervals[index].ref == situation.ref:
            return index if kinds.is_open(intervals[index], at) else None
    return None


def _compact(intervals: list[Situation], kinds: SituationKinds) -> Intervals:
    """Drop intervals whose latest possible end another one of the kind has already outlasted: they decide nothing.

    A history rule refuses every instant before `end + within`, so of a kind only the latest end matters.
    """
    if len(intervals) <= MAX_UNCOMPACTED:
        return tuple(intervals)
    latest: dict[str, Situation] = {}
    for interval in intervals:
        known = latest.get(interval.kind)
        if known is None or _latest_instant(interval) >= _latest_instant(known):
            latest[interval.kind] = interval
    return tuple(
        interval
        for interval in intervals
        if interval is latest[interval.kind]
        or not _is_superseded(interval, _latest_instant(latest[interval.kind]), kinds)
    )


def _latest_instant(interval: Situation) -> Instant:
    return interval.opened if interval.closed is None else max(interval.opened, interval.closed)


def _is_superseded(interval: Situation, latest: Instant, kinds: SituationKinds) -> bool:
    if interval.closed is not None:
        return True
    lapse = kinds.lapses.get(interval.kind)
    return lapse is not None and interval.opened + lapse <= latest
