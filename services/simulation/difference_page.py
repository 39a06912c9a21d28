"""The picture of a difference: one HTML file with its charts drawn in it, each beside its table. No script."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

LABEL = 190.0
"""Units of the drawing kept for the names of bars."""
WIDTH = 640.0
ROW = 26.0
HOURS_HEIGHT = 200.0
MOST_BARS = 24
MOST_LETTERS = 26


class Bar(NamedTuple):
    """One row of a chart of gains and losses, which grow right and left of the middle."""

    name: str
    label: str
    y: float
    gained: int
    gained_width: float
    lost: int
    lost_width: float


class Bars(NamedTuple):
    """A chart of gains and losses; `rows` are those of the table, `middle` is where nothing changes."""

    title: str
    name: str
    said: str
    rows: Sequence[Mapping[str, Any]]
    bars: Sequence[Bar]
    middle: float
    height: float


class Hour(NamedTuple):
    """Two columns: sends of one hour of the day here and in the run compared with."""

    name: str
    x: float
    here: int
    here_height: float
    against: int
    against_height: float


class Hours(NamedTuple):
    """Sends by hour of the day; `most` is what the full height stands for."""

    hours: Sequence[Hour]
    most: int
    step: float
    height: float


def draw(difference: Mapping[str, Any]) -> str:
    """The HTML of a difference (docs/simulate.md); equal differences give equal texts."""
    charts = [
        bars(difference["by_campaign"], "campaign", "Campaigns", "Sends gained and lost by campaign."),
        bars(difference["by_channel"], "channel", "Channels", "Sends gained and lost by channel."),
        bars(
            difference["by_reason"],
            "reason",
            "Reasons",
            "Why the other run did not send what one run gained or lost. Columns of runs count decisions.",
        ),
    ]
    return _template().render(
        difference=difference,
        charts=charts,
        hours=hours(difference["by_hour"]),
        width=WIDTH,
        label=LABEL,
        groups=(("Customers who get more", "gained"), ("Customers who get less", "lost")),
    )


def bars(rows: Sequence[Mapping[str, Any]], name: str, title: str, said: str) -> Bars:
    """A chart of the rows that differ, the largest difference first; the table beside it keeps all rows."""
    changed = sorted((row for row in rows if row["gained"] or row["lost"]), key=_size)[:MOST_BARS]
    most_lost, most_gained = _most(changed, "lost"), _most(changed, "gained")
    room = WIDTH - LABEL - 2 * 60.0
    unit = room / max(1, most_lost + most_gained)
    middle = round(LABEL + 60.0 + most_lost * unit, 1)
    drawn = [
        Bar(
            row[name],
            _short(row[name]),
            place * ROW,
            row["gained"],
            round(row["gained"] * unit, 1),
            row["lost"],
            round(row["lost"] * unit, 1),
        )
        for place, row in enumerate(changed)
    ]
    return Bars(title, name, said, rows, drawn, middle, len(drawn) * ROW)


def hours(rows: Iterable[Mapping[str, Any]]) -> Hours:
    """The day's 24 hours, those without a send too."""
    by_hour = {row["hour"]: row for row in rows}
    counts = dict.fromkeys((f"{hour:02}" for hour in range(24)), (0, 0))
    counts |= {name: (row["here"], row["against"]) for name, row in by_hour.items()}
    most = max(1, *(max(pair) for pair in counts.values()))
    step = (WIDTH - 40.0) / 24
    drawn = [
        Hour(
            name,
            round(40.0 + place * step, 1),
            here,
            round(here / most * HOURS_HEIGHT, 1),
            against,
            round(against / most * HOURS_HEIGHT, 1),
        )
        for place, (name, (here, against)) in enumerate(counts.items())
    ]
    return Hours(drawn, most, round(step, 1), HOURS_HEIGHT)


@cache
def _template() -> Template:
    loader = PackageLoader("services.simulation", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment.get_template("difference.html")


def _size(row: Mapping[str, Any]) -> int:
    return -int(row["gained"]) - int(row["lost"])


def _most(rows: Iterable[Mapping[str, Any]], name: str) -> int:
    return max((row[name] for row in rows), default=0)


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
