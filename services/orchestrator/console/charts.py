"""Numbers as pictures: positions in percent and heights in pixels, for SVG that stretches with the page. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.decision import Decision
from schemas.times import MINUTE, Instant
from schemas.vocabulary import Outcome
from services.orchestrator.console.decision_words import REASONS
from services.orchestrator.console.store import Count
from services.orchestrator.console.time_format import Calendar

CHART_HEIGHT = 182
_SPARK_HEIGHT = 26
_MOST_STEPS = 4
_TICKS = (1, 2, 4, 8, 12, 24, 48)


class Tile(NamedTuple):
    """Decisions of one outcome, a minute; and the line that they draw."""

    outcome: str
    rate: str
    line: str
    area: str
    said: str


class Bar(NamedTuple):
    """A rectangle of a chart: x and width in percent, y and height in pixels."""

    outcome: str
    x: float
    width: float
    y: float
    height: float


class Mark(NamedTuple):
    """A label at a place: percent or pixels, as the axis says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Stacked:
    """Bars over time, their two axes, and what they show in words."""

    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    lines: tuple[Mark, ...]
    said: str
    table: tuple[tuple[str, tuple[int, ...]], ...]


class Step(NamedTuple):
    """One look ahead: when, and what stood in the way then."""

    when: str
    what: str
    last: bool


class Share(NamedTuple):
    """A row of bars: a reason with its outcome, its count, and the length of its bar in percent."""

    outcome: str
    code: str
    name: str
    number: int
    width: float


def tiles(counts: Sequence[Count], slots: int) -> list[Tile]:
    """One tile an outcome; each slot is a minute. The slot of this minute is not over and is left out of the line."""
    found = []
    for outcome in Outcome:
        series = [0] * slots
        for item in counts:
            if item.outcome == outcome:
                series[item.slot] += item.number
        rate = sum(series) / slots
        points = _points(series)
        said = f"between {min(series):,} and {max(series):,} a minute in the last {slots} minutes"
        shown = f"{rate:,.0f}" if rate >= 10 or rate == int(rate) else f"{rate:.1f}"
        found.append(Tile(outcome, shown, f"M{points}", f"M{points}L100 30L0 30Z", said))
    return found


def totals(counts: Sequence[Count]) -> list[tuple[str, int, str]]:
    """Each outcome with its number and its share in words."""
    found = Counter[str]()
    for item in counts:
        found[item.outcome] += item.number
    whole = sum(found.values())
    return [(outcome, found[outcome], _share(found[outcome], whole)) for outcome in Outcome]


def by_channel(counts: Sequence[Count]) -> list[tuple[str, tuple[int, ...]]]:
    """Each channel that was used with its number of decisions by outcome."""
    found = Counter[tuple[str, str]]()
    for item in counts:
        found[item.channel, item.outcome] += item.number
    used = sorted({channel for channel, _ in found})
    return [(channel, tuple(found[channel, outcome] for outcome in Outcome)) for channel in used]


def reasons(counts: Sequence[Count], most: int) -> tuple[list[Share], int, int]:
    """What kept messages back, the most frequent first; then how many other reasons there are, and how often."""
    found = Counter[tuple[str, str]]()
    for item in counts:
        if item.outcome != Outcome.SEND:
            found[item.outcome, item.reason] += item.number
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    top = max((count for _, count in ranked), default=1)
    shares = [
        Share(outcome, code, REASONS[code], count, round(96 * count / top + 0.5, 2))
        for (outcome, code), count in ranked[:most]
    ]
    rest = ranked[most:]
    return shares, len(rest), sum(count for _, count in rest)


def stacked(counts: Sequence[Count], slots: int, since: Instant, until: Instant, at: Calendar) -> Stacked:
    """Bars of all outcomes, one a slot."""
    series = {outcome: [0] * slots for outcome in Outcome}
    for item in counts:
        series[Outcome(item.outcome)][item.slot] += item.number
    heights = [sum(series[outcome][slot] for outcome in Outcome) for slot in range(slots)]
    step = _round_up(max(heights, default=0) / 3)
    scale = (CHART_HEIGHT - 22) / (3 * step)
    width = 100 / slots
    bars = []
    for slot in range(slots):
        y = float(CHART_HEIGHT)
        for outcome in Outcome:
            height = series[outcome][slot] * scale
            if height:
                y -= height
                x, across = round(slot * width + width * 0.12, 3), round(width * 0.76, 3)
                bars.append(Bar(outcome, x, across, round(y, 2), round(max(height - 1, 0.8), 2)))
    lines = tuple(Mark(round(CHART_HEIGHT - index * step * scale, 2), f"{index * step:,}") for index in range(4))
    length = (until - since) // slots
    table = tuple(
        (at.moment(since + slot * length), tuple(series[outcome][slot] for outcome in Outcome))
        for slot in range(slots)
        if heights[slot]
    )
    return Stacked(tuple(bars), _ticks(since, until, at), lines, _said(heights, since, length, at), table)


def plan(decision: Decision, at: Calendar) -> list[Step]:
    """The looks ahead of a message that waits: now, where the rules put it off to, and when it may go."""
    if decision.outcome != Outcome.DEFER or decision.until is None:
        return []
    first = next((item.rule for item in decision.verdicts if item.verdict == "defer"), "")
    steps = [Step(at.brief(decision.time), _rule(first), False)] if first else []
    steps += [Step(at.brief(jump.at), f"Still {_rule(jump.rule).lower()}", False) for jump in decision.jumps]
    steps = steps[:1] + steps[1:][-(_MOST_STEPS - 2) :]
    return [*steps, Step(at.brief(decision.until), "Judged again", True)]


def _rule(name: str) -> str:
    return {"frequency_cap": "Limit full", "min_gap": "Too close", "hold": "On hold"}.get(
        name, name.replace("_", " ").capitalize()
    )


def _points(series: Sequence[int]) -> str:
    top = max(max(series), 1)
    last = max(len(series) - 1, 1)
    points = [f"{100 * i / last:.2f} {28 - _SPARK_HEIGHT * 0.9 * n / top:.2f}" for i, n in enumerate(series)]
    return "L".join(points)


def _share(count: int, whole: int) -> str:
    if not whole or not count:
        return "none" if not count else ""
    share = 100 * count / whole
    return f"{share:.0f}%" if share >= 1 else "under 1%"


def _round_up(number: float) -> int:
    """The next number that is 1, 2 or 5 times a power of ten."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= number:
                return step * factor
        step *= 10


def _ticks(since: Instant, until: Instant, at: Calendar) -> tuple[Mark, ...]:
    hours = (until - since) / (60 * MINUTE)
    if hours <= 2:
        every = 15 * MINUTE
    else:
        every = next((tick for tick in _TICKS if hours / tick <= 8), 24 * round(hours / 24 / 7 + 0.5)) * 60 * MINUTE
    first = at.midnight(since)
    found = []
    t = first
    while t < until:
        if t > since:
            text = at.clock(t) if every < 24 * 60 * MINUTE else at.date(t)
            found.append(Mark(round(100 * (t - since) / (until - since), 2), text))
        t += every
    return tuple(mark for mark in found if 3 < mark.at < 97)


def _said(heights: Sequence[int], since: Instant, length: int, at: Calendar) -> str:
    if not any(heights):
        return "No decisions in this time."
    peak = max(range(len(heights)), key=heights.__getitem__)
    when = at.moment(since + peak * length)
    return f"Stacked bars of {sum(heights):,} decisions. The most, {heights[peak]:,}, from {when}."
