"""Situations, pure: events open and close intervals in a customer's history.

The meaning is that of docs/policy.md, "Contact history": whether an interval is open is told in order of arrival,
except that one past its lapse is open no more.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from schemas.event import BadEvent, Event
from schemas.facts import Situation
from schemas.ids import KIND
from schemas.policy import SituationKind
from schemas.times import Instant
from services.condition import ConditionError

OPENED = "tactful.situation.opened"
CLOSED = "tactful.situation.closed"
VARIABLES = frozenset({"event.type", "event.time", "event.data"})

MAX_REF = 256
"""Characters of a canonical ref; a longer one is known by its hash."""
ROOM = 64
"""Intervals that a customer keeps before those that can decide nothing any more are dropped."""

Intervals: TypeAlias = tuple[Situation, ...]
Condition: TypeAlias = Callable[[Mapping[str, Any]], bool]
CompileCondition: TypeAlias = Callable[[str, frozenset[str]], Condition]

_KIND = re.compile(KIND)


class Sign(NamedTuple):
    """What an event says about one situation, known by its kind and its canonical ref."""

    kind: str
    ref: str


class Signs(NamedTuple):
    """What an event closes and, after that, opens."""

    closes: tuple[Sign, ...]
    opens: tuple[Sign, ...]


class Change(NamedTuple):
    """One step of a customer's history: a sign that did something. `opened` False means closed."""

    sign: Sign
    opened: bool


class Folded(NamedTuple):
    """The intervals after an event, what it changed, and how many of its closings met nothing open."""

    intervals: Intervals
    changes: tuple[Change, ...]
    ignored: int


class _Trigger(NamedTuple):
    kind: str
    opens: bool
    when: Condition | None
    ref: tuple[str, ...]


class SituationKinds:
    """The situations of a policy, ready to read events. `lapses` holds microseconds by kind."""

    def __init__(self, triggers: Mapping[str, tuple[_Trigger, ...]], lapses: Mapping[str, int | None]) -> None:
        self._triggers = triggers
        self.lapses = lapses

    def wants(self, event_type: str) -> bool:
        """Whether events of this type can open or close anything."""
        return event_type in self._triggers or event_type in (OPENED, CLOSED)

    def signs(self, event: Event, data: Mapping[str, Any]) -> Signs:
        """What the event closes and opens. A type error in a condition opens and does not close.

        Raises BadEvent when a built-in event names no kind.
        """
        closes: list[Sign] = []
        opens: list[Sign] = []
        if event.type in (OPENED, CLOSED):
            (opens if event.type == OPENED else closes).append(_told(data))
        sees = {"event": {"type": event.type, "time": event.time, "data": data}}
        for trigger in self._triggers.get(event.type, ()):
            if _meets(trigger, sees):
                (opens if trigger.opens else closes).append(Sign(trigger.kind, _ref_at(data, trigger.ref)))
        return Signs(tuple(dict.fromkeys(closes)), tuple(dict.fromkeys(opens)))

    def is_open(self, interval: Situation, at: Instant) -> bool:
        """Whether it counts as open for an event of that time: not closed yet and not past its lapse."""
        if interval.closed is not None:
            return False
        lapse = self.lapses.get(interval.kind)
        return lapse is None or at < interval.opened + lapse


def compile_kinds(situations: Sequence[SituationKind], compile_condition: CompileCondition) -> SituationKinds:
    """The policy's situations made ready. Raises what `compile_condition` raises for a text that is no condition."""
    triggers: dict[str, tuple[_Trigger, ...]] = {}
    for kind in situations:
        path = tuple(kind.ref.split(".")[1:]) if kind.ref else ()
        for opens, sources in ((False, kind.closes), (True, kind.opens)):
            for source in sources:
                when = None if source.when is None else compile_condition(source.when, VARIABLES)
                triggers[source.event] = (*triggers.get(source.event, ()), _Trigger(kind.kind, opens, when, path))
    return SituationKinds(triggers, {kind.kind: kind.lapses for kind in situations})


def apply(intervals: Intervals, event: Event, data: Mapping[str, Any], kinds: SituationKinds) -> Intervals | None:
    """The customer's intervals after the event, or None when its type does not concern situations. Raises BadEvent."""
    if not kinds.wants(event.type):
        return None
    return fold(intervals, kinds.signs(event, data), event.time, kinds).intervals


def fold(intervals: Intervals, signs: Signs, at: Instant, kinds: SituationKinds) -> Folded:
    """First the closings, then the openings, of one event of time `at`."""
    result = list(intervals)
    changes: list[Change] = []
    ignored = 0
    for sign in signs.closes:
        place = _open_place(result, sign, at, kinds)
        if place is None:
            ignored += 1
        else:
            found = result[place]
            result[place] = Situation(found.kind, found.ref, found.opened, at)
            changes.append(Change(sign, False))
    for sign in signs.opens:
        if _open_place(result, sign, at, kinds) is None:
            result.append(Situation(sign.kind, sign.ref, at))
            changes.append(Change(sign, True))
    if not changes:
        return Folded(intervals, (), ignored)
    return Folded(_compact(result, kinds), tuple(changes), ignored)


def canonical_ref(value: Any) -> str:
    """The text under which a JSON value is compared: keys sorted, 1.0 as 1. Empty for None: no ref."""
    if value is None:
        return ""
    text = json.dumps(_by_value(value), sort_keys=True, separators=(",", ":"))
    return text if len(text) <= MAX_REF else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _by_value(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _by_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_by_value(item) for item in value]
    return value


def _told(data: Mapping[str, Any]) -> Sign:
    kind = data.get("kind")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise BadEvent("/data/kind", "must name a situation's kind, such as complaint")
    return Sign(kind, canonical_ref(data.get("ref")))


def _meets(trigger: _Trigger, sees: Mapping[str, Any]) -> bool:
    if trigger.when is None:
        return True
    try:
        return trigger.when(sees)
    except ConditionError:
        return trigger.opens


def _ref_at(data: Mapping[str, Any], path: Iterable[str]) -> str:
    if not path:
        return ""
    value: Any = data
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return canonical_ref(value)


def _open_place(intervals: Sequence[Situation], sign: Sign, at: Instant, kinds: SituationKinds) -> int | None:
    for place in range(len(intervals) - 1, -1, -1):
        if intervals[place].kind == sign.kind and intervals[place].ref == sign.ref:
            return place if kinds.is_open(intervals[place], at) else None
    return None


def _compact(intervals: list[Situation], kinds: SituationKinds) -> Intervals:
    """Drop intervals whose latest possible end another one of the kind has already outlasted: they decide nothing.

    A history rule refuses every instant before `end + within`, so of a kind only the latest end matters.
    """
    if len(intervals) <= ROOM:
        return tuple(intervals)
    latest: dict[str, Situation] = {}
    for interval in intervals:
        known = latest.get(interval.kind)
        if known is None or _reached(interval) >= _reached(known):
            latest[interval.kind] = interval
    return tuple(
        interval
        for interval in intervals
        if interval is latest[interval.kind] or not _outlasted(interval, _reached(latest[interval.kind]), kinds)
    )


def _reached(interval: Situation) -> Instant:
    return interval.opened if interval.closed is None else max(interval.opened, interval.closed)


def _outlasted(interval: Situation, latest: Instant, kinds: SituationKinds) -> bool:
    if interval.closed is not None:
        return True
    lapse = kinds.lapses.get(interval.kind)
    return lapse is not None and interval.opened + lapse <= latest
