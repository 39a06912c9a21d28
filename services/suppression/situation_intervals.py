"""Situations of a customer: intervals that events open and close, such as an open complaint. Pure.

See docs/policy.md, "Contact history". Events apply in order of arrival, whatever their times; an interval that is past
its lapse counts as closed.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from schemas.event import Event
from schemas.facts import Situation
from schemas.own_events import SITUATION_CLOSED, SITUATION_CORRECTED, SITUATION_OPENED, CheckedData, is_own
from schemas.policy import SituationKind
from schemas.times import Instant, parse_instant
from services.condition import ConditionError

CONDITION_VARIABLES = frozenset({"event.type", "event.time", "event.data"})

MAX_REF_LENGTH = 256
"""Characters of a canonical ref; a longer one is replaced by its hash."""
MAX_UNCOMPACTED = 64
"""Intervals of a customer above which those that no rule can depend on any more are dropped."""

Intervals: TypeAlias = tuple[Situation, ...]
EventCondition: TypeAlias = Callable[[Mapping[str, Any]], bool]
CompileCondition: TypeAlias = Callable[[str, frozenset[str]], EventCondition]


class SituationRef(NamedTuple):
    """The identity of a situation of a customer: its kind and its canonical ref."""

    kind: str
    ref: str


class SituationCorrection(NamedTuple):
    """What a person says the newest situation of this identity was. `withdrawn`: there never was one.

    `opened`, `closed`: when it began and ended; None for what stays as it is.
    """

    situation: SituationRef
    withdrawn: bool
    opened: Instant | None
    closed: Instant | None


class SituationTransitions(NamedTuple):
    """The situations that an event closes and, after that, opens; or the one that it corrects."""

    closes: tuple[SituationRef, ...]
    opens: tuple[SituationRef, ...]
    corrects: SituationCorrection | None = None


NO_TRANSITIONS = SituationTransitions((), ())


SituationAction: TypeAlias = Literal["opened", "closed", "withdrawn", "corrected"]


class SituationChange(NamedTuple):
    """One change in a customer's history. `opened`, `closed`: of a corrected situation, as they are now."""

    situation: SituationRef
    action: SituationAction
    opened: Instant | None = None
    closed: Instant | None = None


class IntervalUpdate(NamedTuple):
    """The intervals after an event, its changes, and how many of its closings and corrections found none: `ignored`."""

    intervals: Intervals
    changes: tuple[SituationChange, ...]
    ignored: int


class _SituationTrigger(NamedTuple):
    kind: str
    opens: bool
    when: EventCondition | None
    ref: tuple[str, ...]


class SituationKinds:
    """The compiled situation kinds of a policy. `lapses`: microseconds by kind, None for no lapse."""

    def __init__(self, triggers: Mapping[str, tuple[_SituationTrigger, ...]], lapses: Mapping[str, int | None]) -> None:
        self._triggers = triggers
        self.lapses = lapses

    def handles(self, event_type: str) -> bool:
        """Whether events of this type can open or close anything."""
        return event_type in self._triggers or event_type in (SITUATION_OPENED, SITUATION_CLOSED, SITUATION_CORRECTED)

    def opens(self, event_type: str) -> bool:
        """Whether events of this type can open anything."""
        return event_type == SITUATION_OPENED or any(each.opens for each in self._triggers.get(event_type, ()))

    def read_transitions(self, event: Event, checked: CheckedData) -> SituationTransitions:
        """The situations that the good parts of the event close and open; none when its data cannot be read.

        When a condition fails on the event's data, an opening counts as met and a closing does not: the safe side,
        since open situations only restrict messages.
        """
        if checked.problems and not is_own(event.type):
            return NO_TRANSITIONS
        data = checked.data
        closes: list[SituationRef] = []
        opens: list[SituationRef] = []
        if event.type == SITUATION_CORRECTED:
            return SituationTransitions((), (), _read_correction(data)) if "kind" in data else NO_TRANSITIONS
        if event.type in (SITUATION_OPENED, SITUATION_CLOSED) and "kind" in data:
            named = SituationRef(data["kind"], canonical_ref(data.get("ref")))
            (opens if event.type == SITUATION_OPENED else closes).append(named)
        variables = {"event": {"type": event.type, "time": event.time, "data": data}}
        for trigger in self._triggers.get(event.type, ()):
            if _is_met(trigger, variables):
                (opens if trigger.opens else closes).append(SituationRef(trigger.kind, _read_ref(data, trigger.ref)))
        return SituationTransitions(tuple(dict.fromkeys(closes)), tuple(dict.fromkeys(opens)))

    def is_open(self, interval: Situation, at: Instant) -> bool:
        """Whether the interval is open at an instant: neither closed nor past its lapse."""
        if interval.closed is not None:
            return False
        lapse = self.lapses.get(interval.kind)
        return lapse is None or at < interval.opened + lapse


def compile_kinds(situations: Sequence[SituationKind], compile_condition: CompileCondition) -> SituationKinds:
    """Compile the situations of a policy. Raises what `compile_condition` raises for an invalid condition."""
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


def apply_event(intervals: Intervals, event: Event, checked: CheckedData, kinds: SituationKinds) -> Intervals | None:
    """The intervals after the event, or None when its type does not concern situations."""
    if not kinds.handles(event.type):
        return None
    return apply_transitions(intervals, kinds.read_transitions(event, checked), event.time, kinds).intervals


def apply_transitions(
    intervals: Intervals, transitions: SituationTransitions, at: Instant, kinds: SituationKinds
) -> IntervalUpdate:
    """Apply first the closings, then the openings, of one event of time `at`."""
    if transitions.corrects is not None:
        return _apply_correction(intervals, transitions.corrects, kinds)
    result = list(intervals)
    changes: list[SituationChange] = []
    ignored = 0
    for situation in transitions.closes:
        index = _open_index(result, situation, at, kinds)
        if index is None:
            ignored += 1
        else:
            interval = result[index]
            result[index] = Situation(interval.kind, interval.ref, interval.opened, at)
            changes.append(SituationChange(situation, "closed"))
    for situation in transitions.opens:
        if _open_index(result, situation, at, kinds) is None:
            result.append(Situation(situation.kind, situation.ref, at))
            changes.append(SituationChange(situation, "opened"))
    if not changes:
        return IntervalUpdate(intervals, (), ignored)
    return IntervalUpdate(_compact(result, kinds), tuple(changes), ignored)


def _apply_correction(intervals: Intervals, correction: SituationCorrection, kinds: SituationKinds) -> IntervalUpdate:
    """Correct the newest interval of the identity, open or not. One that would end before it began stays as it is."""
    index = _newest_index(intervals, correction.situation)
    if index is None:
        return IntervalUpdate(intervals, (), 1)
    known = intervals[index]
    if correction.withdrawn:
        rest = (*intervals[:index], *intervals[index + 1 :])
        return IntervalUpdate(rest, (SituationChange(correction.situation, "withdrawn"),), 0)
    opened = known.opened if correction.opened is None else correction.opened
    closed = known.closed if correction.closed is None else correction.closed
    if (opened, closed) == (known.opened, known.closed) or (closed is not None and closed < opened):
        return IntervalUpdate(intervals, (), 1)
    changed = [*intervals[:index], Situation(known.kind, known.ref, opened, closed), *intervals[index + 1 :]]
    return IntervalUpdate(
        _compact(changed, kinds), (SituationChange(correction.situation, "corrected", opened, closed),), 0
    )


def canonical_ref(value: Any) -> str:
    """The text by which JSON values are compared: keys sorted, 1.0 as 1. Empty for None: no ref."""
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
    index = _newest_index(intervals, situation)
    return index if index is not None and kinds.is_open(intervals[index], at) else None


def _newest_index(intervals: Sequence[Situation], situation: SituationRef) -> int | None:
    for index in range(len(intervals) - 1, -1, -1):
        if intervals[index].kind == situation.kind and intervals[index].ref == situation.ref:
            return index
    return None


def _read_correction(data: Mapping[str, Any]) -> SituationCorrection:
    """The correction in data that was checked."""
    return SituationCorrection(
        SituationRef(data["kind"], canonical_ref(data.get("ref"))),
        bool(data.get("withdrawn")),
        parse_instant(data["opened"]) if data.get("opened") else None,
        parse_instant(data["closed"]) if data.get("closed") else None,
    )


def _compact(intervals: list[Situation], kinds: SituationKinds) -> Intervals:
    """Drop the intervals that ended, or must have lapsed, before a later one of the same kind.

    A contact-history rule refuses every instant before `end + within`, so only the latest end of each kind matters.
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
