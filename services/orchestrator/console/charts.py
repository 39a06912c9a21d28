"""Chart geometry: positions in percent and heights in pixels, for SVG that scales with the page. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.decision import Decision
from schemas.rule_registry import RULE_REGISTRY
from schemas.times import MINUTE, Instant
from schemas.vocabulary import Outcome
from services.orchestrator.console.decision_words import REASONS
from services.orchestrator.console.store import SlotCount
from services.orchestrator.console.time_format import WallClock

CHART_HEIGHT = 182
_SPARK_HEIGHT = 26
_MAX_STEPS = 4
_TICK_HOURS = (1, 2, 4, 8, 12, 24, 48)


class OutcomeTile(NamedTuple):
    """The count of decisions of one outcome per minute, and their line."""

    outcome: str
    rate: str
    line: str
    area: str
    description: str


class ChartBar(NamedTuple):
    """A rectangle: x and width in percent, y and height in pixels."""

    outcome: str
    x: float
    width: float
    y: float
    height: float


class AxisLabel(NamedTuple):
    """An axis label at a position in percent or pixels, as the axis requires."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class StackedChart:
    """Bars over time with two axes, and a description in words."""

    bars: tuple[ChartBar, ...]
    ticks: tuple[AxisLabel, ...]
    lines: tuple[AxisLabel, ...]
    description: str
    table: tuple[tuple[str, tuple[int, ...]], ...]


class PlanStep(NamedTuple):
    """One step of a deferral plan: an instant, and what prevented sending then."""

    when: str
    what: str
    last: bool


class ReasonShare(NamedTuple):
    """A row of the reasons chart: reason, outcome, count, and bar length in percent."""

    outcome: str
    code: str
    name: str
    number: int
    width: float


def outcome_tiles(counts: Sequence[SlotCount], slots: int) -> list[OutcomeTile]:
    """Builds one tile per outcome; each slot is a minute. The current, unfinished minute is left out of the line."""
    tiles = []
    for outcome in Outcome:
        series = [0] * slots
        for item in counts:
            if item.outcome == outcome:
                series[item.slot] += item.number
        rate = sum(series) / slots
        points = _sparkline_points(series)
        description = f"between {min(series):,} and {max(series):,} a minute in the last {slots} minutes"
        rate_text = f"{rate:,.0f}" if rate >= 10 or rate == int(rate) else f"{rate:.1f}"
        tiles.append(OutcomeTile(outcome, rate_text, f"M{points}", f"M{points}L100 30L0 30Z", description))
    return tiles


def outcome_totals(counts: Sequence[SlotCount]) -> list[tuple[str, int, str]]:
    """Returns each outcome with its count and its share in words."""
    counts_by_outcome = Counter[str]()
    for item in counts:
        counts_by_outcome[item.outcome] += item.number
    whole = sum(counts_by_outcome.values())
    return [
        (outcome, counts_by_outcome[outcome], _format_share(counts_by_outcome[outcome], whole)) for outcome in Outcome
    ]


def channel_totals(counts: Sequence[SlotCount]) -> list[tuple[str, tuple[int, ...]]]:
    """Returns each used channel with its counts by outcome."""
    counts_by_pair = Counter[tuple[str, str]]()
    for item in counts:
        counts_by_pair[item.channel, item.outcome] += item.number
    used = sorted({channel for channel, _ in counts_by_pair})
    return [(channel, tuple(counts_by_pair[channel, outcome] for outcome in Outcome)) for channel in used]


def reason_shares(counts: Sequence[SlotCount], max_shares: int) -> tuple[list[ReasonShare], int, int]:
    """Returns the most frequent reasons for not sending, and the number and total of the others."""
    counts_by_pair = Counter[tuple[str, str]]()
    for item in counts:
        if item.outcome != Outcome.SEND:
            counts_by_pair[item.outcome, item.reason] += item.number
    ranked = sorted(counts_by_pair.items(), key=lambda item: (-item[1], item[0]))
    top = max((count for _, count in ranked), default=1)
    shares = [
        ReasonShare(outcome, code, REASONS[code], count, round(96 * count / top + 0.5, 2))
        for (outcome, code), count in ranked[:max_shares]
    ]
    rest = ranked[max_shares:]
    return shares, len(rest), sum(count for _, count in rest)


def stacked_chart(
    counts: Sequence[SlotCount], slots: int, since: Instant, until: Instant, at: WallClock
) -> StackedChart:
    """Builds the stacked bars of all outcomes, one per slot."""
    series = {outcome: [0] * slots for outcome in Outcome}
    for item in counts:
        series[Outcome(item.outcome)][item.slot] += item.number
    heights = [sum(series[outcome][slot] for outcome in Outcome) for slot in range(slots)]
    step = _round_up_step(max(heights, default=0) / 3)
    scale = (CHART_HEIGHT - 22) / (3 * step)
    width = 100 / slots
    bars = []
    for slot in range(slots):
        y = float(CHART_HEIGHT)
        for outcome in Outcome:
            height = series[outcome][slot] * scale
            if height:
                y -= height
                x, bar_width = round(slot * width + width * 0.12, 3), round(width * 0.76, 3)
                bars.append(ChartBar(outcome, x, bar_width, round(y, 2), round(max(height - 1, 0.8), 2)))
    lines = tuple(AxisLabel(round(CHART_HEIGHT - index * step * scale, 2), f"{index * step:,}") for index in range(4))
    length = (until - since) // slots
    table = tuple(
        (at.moment(since + slot * length), tuple(series[outcome][slot] for outcome in Outcome))
        for slot in range(slots)
        if heights[slot]
    )
    return StackedChart(
        tuple(bars), _time_ticks(since, until, at), lines, _describe_chart(heights, since, length, at), table
    )


def plan_steps(decision: Decision, at: WallClock) -> list[PlanStep]:
    """Builds the steps of a waiting message: now, the deferrals, and when it may be sent."""
    if decision.outcome != Outcome.DEFER or decision.until is None:
        return []
    first = next((item.rule for item in decision.verdicts if item.verdict == "defer"), "")
    steps = [PlanStep(at.brief(decision.time), _rule_phrase(first), False)] if first else []
    steps += [PlanStep(at.brief(jump.at), f"Still {_rule_phrase(jump.rule).lower()}", False) for jump in decision.jumps]
    steps = steps[:1] + steps[1:][-(_MAX_STEPS - 2) :]
    return [*steps, PlanStep(at.brief(decision.until), "Evaluated again", True)]


def _rule_phrase(name: str) -> str:
    rule = RULE_REGISTRY.declarations.get(name)
    return rule.step_title if rule and rule.step_title else name.replace("_", " ").capitalize()


def _sparkline_points(series: Sequence[int]) -> str:
    top = max(max(series), 1)
    last = max(len(series) - 1, 1)
    points = [f"{100 * i / last:.2f} {28 - _SPARK_HEIGHT * 0.9 * n / top:.2f}" for i, n in enumerate(series)]
    return "L".join(points)


def _format_share(count: int, whole: int) -> str:
    if not whole or not count:
        return "none" if not count else ""
    share = 100 * count / whole
    return f"{share:.0f}%" if share >= 1 else "under 1%"


def _round_up_step(number: float) -> int:
    """Returns the next number that is 1, 2 or 5 times a power of ten."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= number:
                return step * factor
        step *= 10


def _time_ticks(since: Instant, until: Instant, at: WallClock) -> tuple[AxisLabel, ...]:
    hours = (until - since) / (60 * MINUTE)
    if hours <= 2:
        every = 15 * MINUTE
    else:
        every = (
            next((tick for tick in _TICK_HOURS if hours / tick <= 8), 24 * round(hours / 24 / 7 + 0.5)) * 60 * MINUTE
        )
    first = at.midnight(since)
    labels = []
    t = first
    while t < until:
        if t > since:
            text = at.clock(t) if every < 24 * 60 * MINUTE else at.date(t)
            labels.append(AxisLabel(round(100 * (t - since) / (until - since), 2), text))
        t += every
    return tuple(label for label in labels if 3 < label.at < 97)


def _describe_chart(heights: Sequence[int], since: Instant, length: int, at: WallClock) -> str:
    if not any(heights):
        return "No decisions in this period."
    peak = max(range(len(heights)), key=heights.__getitem__)
    when = at.moment(since + peak * length)
    return f"Stacked bars of {sum(heights):,} decisions. Peak: {heights[peak]:,}, from {when}."
