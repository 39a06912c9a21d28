"""What a dashboard is made of, before it becomes Grafana's JSON."""

from dataclasses import dataclass, field
from enum import StrEnum


class PanelKind(StrEnum):
    """How the results of the queries are drawn."""

    LINES = "timeseries"
    NUMBER = "stat"
    HEAT_MAP = "heatmap"
    TABLE = "table"


class Unit(StrEnum):
    """Grafana's names of the units of values."""

    COUNT = "short"
    PER_SECOND = "cps"
    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"


@dataclass(frozen=True)
class Query:
    """A query of Prometheus. `expr` is PromQL without the dashboard's variables, which `metric_labels.scope` adds.

    `legend` names each series, with labels in double braces.
    """

    expr: str
    legend: str


@dataclass(frozen=True)
class Link:
    """Where a reader gets more detail: a title and an address."""

    title: str
    url: str


@dataclass(frozen=True)
class Panel:
    """One picture.

    `shows` says what the values are, `bad` what they look like when something is wrong. `alerts` are the names of the
    alerts about it; each has a runbook. `empty` says in one sentence why there may be no series; without it, no series
    is a defect, which a test looks for. `limits` are values at which it turns amber and red. `least` is a lower bound
    of the axis' upper end, so that a value near zero does not look high.
    """

    title: str
    shows: str
    bad: str
    queries: tuple[Query, ...]
    details: tuple[Link, ...]
    unit: Unit = Unit.COUNT
    kind: PanelKind = PanelKind.LINES
    alerts: tuple[str, ...] = ()
    empty: str = ""
    stacked: bool = False
    limits: tuple[float, ...] = ()
    least: float | None = None
    width: int = 8
    height: int = 8


@dataclass(frozen=True)
class Row:
    """A line of panels under a heading. `collapsed`: shown when somebody opens it."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True)
class Board:
    """A dashboard. `uid` is its address for ever: links of alerts and bookmarks hold it.

    `variables` are labels of metrics, beside those that every dashboard has, among whose values a reader chooses: label
    -> a metric that has all values of it.
    """

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: dict[str, str] = field(default_factory=dict)

    def panels(self) -> tuple[Panel, ...]:
        """Those of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def panel_id(self, panel: Panel) -> int:
        """Its number on the dashboard: headings of rows and panels are counted together, from 1."""
        counted = [each for row in self.rows for each in (row, *row.panels)]
        return next(number for number, each in enumerate(counted, 1) if each is panel)


def number(title: str, shows: str, bad: str, query: str, details: tuple[Link, ...], **more: object) -> Panel:
    """A panel with one big number, small enough that six stand in a line."""
    values: dict[str, object] = {"width": 4, "height": 4, **more}
    return Panel(title, shows, bad, (Query(query, ""),), details, kind=PanelKind.NUMBER, **values)  # type: ignore[arg-type]


def board_link(uid: str, title: str) -> Link:
    """To another dashboard, with the same time and choices."""
    return Link(title, f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}")


def console_link(page: str, title: str) -> Link:
    """To a page of the console."""
    return Link(f"Console: {title}", f"${{console:raw}}/{page}")


OVERVIEW = board_link("tactful-overview", "Overview")
PIPELINE = board_link("tactful-pipeline", "Pipeline")
DECISIONS = board_link("tactful-decisions", "Decisions")
CHANNELS = board_link("tactful-channels", "Channels and adapters")
KAFKA = board_link("tactful-kafka", "Kafka and dead letters")
PROMISES = board_link("tactful-promises", "Promises")


def age(expr: str, labels: str, how: str = "min") -> str:
    """The time since the instants of a gauge, by label; 0 where the gauge says that there is none."""
    by = f" by ({labels})" if labels else ""
    return f"(time() - {how}{by} ({expr} > 0)) or {how}{by} ({expr}) * 0"


def quantile(share: float, histogram: str, labels: str, matchers: str = "") -> str:
    """A quantile of a histogram, by label."""
    by = f"le, {labels}" if labels else "le"
    selector = f"{{{matchers}}}" if matchers else ""
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket{selector}[$__rate_interval])))"


def rate(counter: str, labels: str, matchers: str = "") -> str:
    """Occurrences a second, by label."""
    by = f" by ({labels})" if labels else ""
    selector = f"{{{matchers}}}" if matchers else ""
    return f"sum{by} (rate({counter}{selector}[$__rate_interval]))"
