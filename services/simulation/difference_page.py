"""The difference page: one HTML file with inline charts, each with its table. No script."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

LABEL_WIDTH = 190.0
"""Drawing units reserved for the names of bars."""
CHART_WIDTH = 640.0
ROW_HEIGHT = 26.0
HOURS_HEIGHT = 200.0
MAX_BARS = 24
MAX_LABEL_LENGTH = 26


class DifferenceBar(NamedTuple):
    """A row of a chart of gains and losses, which extend right and left from the middle."""

    name: str
    label: str
    y: float
    gained: int
    gained_width: float
    lost: int
    lost_width: float


class DifferenceChart(NamedTuple):
    """A chart of gains and losses; `rows` are those of the table, `middle` is the zero line."""

    title: str
    name: str
    description: str
    rows: Sequence[Mapping[str, Any]]
    bars: Sequence[DifferenceBar]
    middle: float
    height: float


class HourColumns(NamedTuple):
    """Two columns: sends in one hour of the day in both runs."""

    name: str
    x: float
    here: int
    here_height: float
    against: int
    against_height: float


class HourChart(NamedTuple):
    """Sends by hour of the day; `most` is the value of the full height."""

    hours: Sequence[HourColumns]
    most: int
    step: float
    height: float


def render_difference(difference: Mapping[str, Any], unreadable: int = 0) -> str:
    """Renders a difference as HTML (docs/simulate.md); equal differences give equal texts.

    `unreadable`: how many recorded events were left out.
    """
    charts = [
        difference_chart(difference["by_campaign"], "campaign", "Campaigns", "Sends gained and lost by campaign."),
        difference_chart(difference["by_channel"], "channel", "Channels", "Sends gained and lost by channel."),
        difference_chart(
            difference["by_reason"],
            "reason",
            "Reasons",
            "Why the other run did not send what one run gained or lost. Columns `here` and `against` count decisions.",
        ),
    ]
    return _template().render(
        difference=difference,
        unreadable=unreadable,
        charts=charts,
        hours=hour_chart(difference["by_hour"]),
        width=CHART_WIDTH,
        label=LABEL_WIDTH,
        groups=(("Customers who get more messages", "gained"), ("Customers who get fewer messages", "lost")),
    )


def difference_chart(rows: Sequence[Mapping[str, Any]], name: str, title: str, description: str) -> DifferenceChart:
    """Builds a chart of the rows that differ, largest difference first; its table has all rows."""
    changed = sorted((row for row in rows if row["gained"] or row["lost"]), key=_change_size)[:MAX_BARS]
    most_lost, most_gained = _max_count(changed, "lost"), _max_count(changed, "gained")
    room = CHART_WIDTH - LABEL_WIDTH - 2 * 60.0
    unit = room / max(1, most_lost + most_gained)
    middle = round(LABEL_WIDTH + 60.0 + most_lost * unit, 1)
    drawn = [
        DifferenceBar(
            row[name],
            _shorten(row[name]),
            index * ROW_HEIGHT,
            row["gained"],
            round(row["gained"] * unit, 1),
            row["lost"],
            round(row["lost"] * unit, 1),
        )
        for index, row in enumerate(changed)
    ]
    return DifferenceChart(title, name, description, rows, drawn, middle, len(drawn) * ROW_HEIGHT)


def hour_chart(rows: Iterable[Mapping[str, Any]]) -> HourChart:
    """Builds the chart of the day's 24 hours, including those without a send."""
    by_hour = {row["hour"]: row for row in rows}
    counts = dict.fromkeys((f"{hour:02}" for hour in range(24)), (0, 0))
    counts |= {name: (row["here"], row["against"]) for name, row in by_hour.items()}
    most = max(1, *(max(pair) for pair in counts.values()))
    step = (CHART_WIDTH - 40.0) / 24
    drawn = [
        HourColumns(
            name,
            round(40.0 + index * step, 1),
            here,
            round(here / most * HOURS_HEIGHT, 1),
            against,
            round(against / most * HOURS_HEIGHT, 1),
        )
        for index, (name, (here, against)) in enumerate(counts.items())
    ]
    return HourChart(drawn, most, round(step, 1), HOURS_HEIGHT)


@cache
def _template() -> Template:
    loader = PackageLoader("services.simulation", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment.get_template("difference.html")


def _change_size(row: Mapping[str, Any]) -> int:
    return -int(row["gained"]) - int(row["lost"])


def _max_count(rows: Iterable[Mapping[str, Any]], name: str) -> int:
    return max((row[name] for row in rows), default=0)


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LABEL_LENGTH else f"{text[: MAX_LABEL_LENGTH - 1]}…"
