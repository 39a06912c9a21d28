"""Time picture of the why page: lanes of contacts, situations, caps, quiet hours and holds on one axis. Pure.

Positions are in percent of the axis.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.decision import Decision
from schemas.facts import Situation
from schemas.times import DAY, HOUR, MINUTE, Instant, describe_duration
from schemas.vocabulary import Class, Outcome
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.policy.compiled_policy import Cap, HistoryRule
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.explain import free_from
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.quiet_windows import QuietWindow
from services.orchestrator.policy.scope import CompiledScope, MessageAttributes
from services.orchestrator.policy.time_zones import Zone, calendar_period

_LOOK_BACK, _LOOK_AHEAD, _MAX_LOOK = 14 * DAY, 7 * DAY, 120 * DAY
_MAX_LANES_PER_KIND = 4
_TICK_DAYS = (1, 2, 7, 14, 28, 56)


class Shape(NamedTuple):
    """A shape in a lane. Kinds: open, rest, window, quiet, hold, no, yes, made, other, planned, text."""

    kind: str
    x: float
    width: float = 0.0
    text: str = ""


class Lane(NamedTuple):
    """A row of the picture: name, remark, shapes, and their description in words."""

    name: str
    remark: str
    description: str
    shapes: tuple[Shape, ...]


class Tick(NamedTuple):
    """A day on the axis."""

    x: float
    text: str


class Picture(NamedTuple):
    """All lanes; `now` is the position of the current instant; the last lane is the message itself."""

    ticks: tuple[Tick, ...]
    now: float
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A stretch of time, mapped to percent."""

    left: Instant
    right: Instant

    def position(self, t: Instant) -> float:
        """Returns the position of an instant, clamped to the picture."""
        inside = min(max(t, self.left), self.right)
        return round(100 * (inside - self.left) / (self.right - self.left), 2)

    def bar(self, kind: str, start: Instant, end: Instant, text: str = "") -> Shape | None:
        """Returns the visible part of an interval."""
        if end <= self.left or start >= self.right:
            return None
        x = self.position(start)
        return Shape(kind, x, round(max(self.position(end) - x, 0.2), 2), text)


def draw_picture(decision: Decision, facts: Facts, ledger: Ledger, at: WallClock) -> Picture:
    """Builds the picture of a decision about what would happen now."""
    attributes = MessageAttributes(decision.campaign, decision.topic, decision.channel, decision.cls, decision.intent)
    applicable = facts.policy.applicable_to(attributes)
    earliest = free_from(decision)
    contacts = list(ledger)
    axis = _choose_axis(at.now, earliest or decision.allowed_from, facts, applicable.histories, contacts)
    lanes = [
        _contact_lane(axis, contacts, at),
        *_history_lanes(axis, applicable.histories, facts, contacts, at),
        *(
            _cap_lane(axis, cap, contacts, facts, at)
            for cap in [*applicable.caps, *_own_caps(facts, attributes)][:_MAX_LANES_PER_KIND]
        ),
        *_quiet_lanes(axis, (*applicable.quiet_windows, *facts.own_quiet_windows), facts.quiet_zones, attributes),
        *_hold_lanes(axis, facts, attributes, at),
        _outcome_lane(axis, decision, earliest, at),
    ]
    return Picture(_day_ticks(axis, at), axis.position(at.now), tuple(lanes))


def _choose_axis(
    now: Instant, earliest: Instant | None, facts: Facts, histories: Sequence[HistoryRule], contacts: Sequence[Contact]
) -> TimeAxis:
    oldest = min((contact.at for contact in contacts if contact.at > now - _LOOK_BACK), default=now)
    left = max(now - _LOOK_BACK, min(oldest - DAY // 2, now - 2 * DAY))
    for history in histories:
        for situation in facts.situations_by_kind.get(history.situation or "", ()):
            if situation.closed is None or situation.closed + history.within > now:
                left = min(left, max(situation.opened - DAY, now - _MAX_LOOK))
    look_ahead = _LOOK_AHEAD if earliest is None else max(_LOOK_AHEAD, (earliest - now) * 6 // 5)
    return TimeAxis(left, now + min(look_ahead, _MAX_LOOK))


def _contact_lane(axis: TimeAxis, contacts: Sequence[Contact], at: WallClock) -> Lane:
    visible = [contact for contact in contacts if axis.left <= contact.at <= axis.right]
    shapes = tuple(Shape(_contact_shape_kind(contact), axis.position(contact.at)) for contact in visible)
    made = [contact for contact in visible if contact.state != "planned"]
    days = ", ".join(at.date(contact.at) for contact in made[-8:])
    description = f"{len(made)} contacts{': ' + days if days else ''}; {len(visible) - len(made)} planned."
    return Lane("Contacts", f"{len(made)} since {at.date(axis.left)}", description, shapes)


def _contact_shape_kind(contact: Contact) -> str:
    if contact.state == "planned":
        return "planned"
    return "made" if contact.attributes.cls == Class.MARKETING else "other"


def _history_lanes(
    axis: TimeAxis, histories: Sequence[HistoryRule], facts: Facts, contacts: Sequence[Contact], at: WallClock
) -> Iterator[Lane]:
    for history in histories[:_MAX_LANES_PER_KIND]:
        rest = describe_duration(history.within)
        if history.situation is not None:
            situations = facts.situations_by_kind.get(history.situation, ())
            shapes = [shape for item in situations for shape in _situation_shapes(axis, item, history, at.now)]
            if not shapes:
                continue
            name = history.situation.replace("_", " ").capitalize()
            description = "; ".join(_describe_interval(item, at) for item in situations[-3:]) or "none"
            yield Lane(
                name, f"and {rest} after it", f"{name}: {description}. No messages for {rest} after it.", tuple(shapes)
            )
        elif history.contacts is not None:
            counted = [item.at for item in _contacts_in_scope(contacts, history.contacts)]
            bars = [axis.bar("rest", t, t + history.within, rest) for t in counted]
            if not any(bars):
                continue
            description = f"{len(counted)} contacts count for the rule {history.id}; each blocks messages for {rest}."
            yield Lane("After a contact", history.id, description, tuple(bar for bar in bars if bar))


def _situation_shapes(axis: TimeAxis, item: Situation, history: HistoryRule, now: Instant) -> Iterator[Shape]:
    end = item.closed
    if end is None:
        lapsed = None if history.lapses is None else item.opened + history.lapses
        end = axis.right if lapsed is None else lapsed
    if history.while_open and (bar := axis.bar("open", item.opened, end)):
        yield bar
    begin = end if history.while_open else item.opened
    rests = item.closed is not None or not history.while_open
    if rests and (bar := axis.bar("rest", begin, begin + history.within, f"{describe_duration(history.within)} wait")):
        yield bar


def _describe_interval(item: Situation, at: WallClock) -> str:
    end = "still open" if item.closed is None else f"closed {at.moment(item.closed)}"
    return f"opened {at.moment(item.opened)}, {end}"


def _own_caps(facts: Facts, attributes: MessageAttributes) -> tuple[Cap, ...]:
    return (facts.own_cap,) if facts.own_cap is not None and facts.own_cap.scope.covers(attributes) else ()


def _cap_lane(axis: TimeAxis, cap: Cap, contacts: Sequence[Contact], facts: Facts, at: WallClock) -> Lane:
    in_scope = _contacts_in_scope(contacts, cap.scope)
    counted = [item.at for item in in_scope]
    if cap.rolling is not None:
        remark = f"at most {cap.limit} in {describe_duration(cap.rolling)}"
        bars = [axis.bar("window", t, t + cap.rolling) for t in counted]
        used = sum(1 for t in counted if at.now - cap.rolling < t <= at.now)
    else:
        zone = facts.calendar_zone if cap.in_customer_zone else facts.policy.zone
        first, after = calendar_period(zone.local_day(at.now), cap.period, facts.policy.week_start)
        start, over = (
            zone.first_at_wall_time(axis.left - 40 * DAY, first * DAY),
            zone.first_at_wall_time(at.now, after * DAY),
        )
        remark = f"at most {cap.limit} a calendar {cap.period}"
        bars = [axis.bar("window", start, over)]
        used = sum(1 for t in counted if start <= t < over)
    marks = [
        Shape(_contact_shape_kind(item), axis.position(item.at))
        for item in in_scope
        if axis.left <= item.at <= axis.right
    ]
    text = f"Cap reached: {used} of {cap.limit}" if used >= cap.limit else f"{used} of {cap.limit} used"
    visible = [bar for bar in bars if bar]
    end = max([axis.position(at.now), *(bar.x + bar.width for bar in visible if bar.x + bar.width < 80)])
    shapes = (*visible, *marks, Shape("text", round(end, 2), 0.0, text))
    return Lane(cap.id.replace("-", " ").capitalize(), remark, f"The cap {cap.id}: {used} of {cap.limit} used.", shapes)


def _contacts_in_scope(contacts: Sequence[Contact], scope: CompiledScope) -> list[Contact]:
    return [item for item in contacts if scope.covers(item.attributes)]


def _quiet_lanes(
    axis: TimeAxis, entries: Sequence[QuietWindow], zones: Sequence[Zone], attributes: MessageAttributes
) -> Iterator[Lane]:
    zone = zones[0]
    for entry in entries[:2]:
        if not entry.scope.covers(attributes):
            continue
        hours = f"{_format_wall_time(entry.start)} to {_format_wall_time(entry.end)}"
        bars = [axis.bar("quiet", start, end) for start, end in _quiet_intervals(entry, zone, axis)]
        description = f"Quiet from {hours} on {len(entry.days)} days a week, {zone.name}."
        yield Lane("Quiet hours", hours, description, tuple(bar for bar in bars if bar))


def _quiet_intervals(entry: QuietWindow, zone: Zone, axis: TimeAxis) -> Iterator[tuple[Instant, Instant]]:
    for day in range(zone.local_day(axis.left) - 1, zone.local_day(axis.right) + 1):
        if (day + 3) % 7 in entry.days:
            start = zone.first_at_wall_time(day * DAY - 2 * DAY, day * DAY + entry.start)
            yield start, zone.first_at_wall_time(start, (day + (entry.end <= entry.start)) * DAY + entry.end)


def _format_wall_time(wall: int) -> str:
    return f"{wall // HOUR:02}:{wall % HOUR // MINUTE:02}"


def _hold_lanes(axis: TimeAxis, facts: Facts, attributes: MessageAttributes, at: WallClock) -> Iterator[Lane]:
    for hold in facts.all_holds[:_MAX_LANES_PER_KIND]:
        bar = axis.bar("hold", hold.start, hold.until or axis.right)
        if bar is None or not CompiledScope.from_fields(hold.scope).covers(attributes):
            continue
        end = "until it is lifted" if hold.until is None else f"until {at.moment(hold.until)}"
        yield Lane("Hold", hold.key, f"The hold {hold.key} since {at.moment(hold.start)}, {end}.", (bar,))


def _outcome_lane(axis: TimeAxis, decision: Decision, earliest: Instant | None, at: WallClock) -> Lane:
    if decision.outcome == Outcome.SEND:
        bar = axis.bar("yes", at.now, axis.right, "now")
        return Lane("This message", "would be sent", "It would be sent now.", (bar,) if bar else ())
    waits = decision.outcome == Outcome.DEFER
    if earliest is None:
        shapes = (axis.bar("wait" if waits else "no", at.now, axis.right, "no known end"),)
        description = "No known instant from which it would be allowed."
    else:
        kind, when = ("wait" if waits else "no"), at.moment(earliest)
        shapes = (axis.bar(kind, at.now, earliest, when), axis.bar("yes", earliest, axis.right))  # type: ignore[assignment]
        description = f"{'Deferred' if waits else 'Not allowed'} until {when}, allowed from then on."
    name = "would wait" if waits else "would not be sent"
    return Lane("This message", name, description, tuple(shape for shape in shapes if shape))


def _day_ticks(axis: TimeAxis, at: WallClock) -> tuple[Tick, ...]:
    days = (axis.right - axis.left) / DAY
    every = next((tick for tick in _TICK_DAYS if days / tick <= 8), 56)
    noon = at.midnight(axis.left) + DAY * 3 // 2
    days_shown = [at.midnight(noon + index * every * DAY) for index in range(9)]
    ticks = [Tick(axis.position(day), at.date(day)) for day in days_shown]
    return tuple(tick for tick in ticks if 0 < tick.x < 94)
