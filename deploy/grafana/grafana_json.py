"""Grafana's JSON of the dashboards, by Grafana's own builders (grafana-foundation-sdk)."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    FieldColorModeId,
    GridPos,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.board import Board, Panel, PanelKind, Unit
from deploy.grafana.boards import boards
from deploy.grafana.metric_labels import scope
from deploy.grafana.variables import SOURCE, add_annotations, add_variables

AnyPanel = timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel
WIDTH: Final = 24
"""Columns of Grafana's grid."""
COLOURS = ("green", "orange", "red")
TAG = "tactful"
IN_A_MENU = "inControlsMenu"
NO_ALERT = "No alert watches this."


def dashboards() -> dict[str, str]:
    """File name -> text."""
    return {f"{board.uid}.json": _text(board) for board in boards()}


def description(panel: Panel) -> str:
    """What a reader sees at the panel's ⓘ."""
    parts = [panel.shows, f"Bad: {panel.bad}"]
    parts.append("Alerts: " + ", ".join(panel.alerts) + "." if panel.alerts else NO_ALERT)
    if panel.empty:
        parts.append(f"May be empty: {panel.empty}")
    return "\n\n".join(parts)


def _text(board: Board) -> str:
    dashboard = (
        builders.Dashboard(f"Tactful / {board.title}")
        .uid(board.uid)
        .description(board.about)
        .tags([TAG])
        .timezone(common.TimeZoneBrowser)
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
    )
    dashboard.link(
        builders.DashboardLink("Tactful")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )
    add_variables(dashboard, board)
    add_annotations(dashboard)
    _add_rows(dashboard, board)
    plain = json.loads(json.dumps(dashboard.build(), cls=JSONEncoder))
    return json.dumps(_placed(plain), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _placed(value: Any) -> Any:
    """Without the builders' wish that links and annotations hide in a menu, where nobody finds them."""
    if isinstance(value, dict):
        return {name: _placed(part) for name, part in value.items() if name != "placement" or part != IN_A_MENU}
    return [_placed(part) for part in value] if isinstance(value, list) else value


def _add_rows(dashboard: builders.Dashboard, board: Board) -> None:
    """Rows one below the other, the panels of a row from left to right."""
    top, identity = 0, 1
    for row in board.rows:
        heading = builders.Row(row.title).id(identity).grid_pos(GridPos(h=1, w=WIDTH, x=0, y=top))
        identity, top = identity + 1, top + 1
        left = tallest = 0
        placed = []
        for panel in row.panels:
            if left + panel.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            place = GridPos(h=panel.height, w=panel.width, x=left, y=top)
            placed.append(_panel(panel, board).id(identity).grid_pos(place))
            identity, left, tallest = identity + 1, left + panel.width, max(tallest, panel.height)
        top += tallest
        if row.collapsed:
            heading.collapsed(True)
            for each in placed:
                heading.with_panel(each)
        dashboard.with_row(heading)
        if not row.collapsed:
            for each in placed:
                dashboard.with_panel(each)


def _panel(panel: Panel, board: Board) -> AnyPanel:
    built = _MAKERS[panel.kind](panel)
    built.title(panel.title).description(description(panel)).datasource(SOURCE).unit(panel.unit.value)
    built.links([_link(title, url) for title, url in links(panel, board)])
    for position, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(scope(query.expr, board.variables)).datasource(SOURCE)
        target.legend_format(query.legend or "__auto").ref_id(chr(ord("A") + position))
        if panel.kind is PanelKind.HEAT_MAP:
            target.format(PromQueryFormat.HEATMAP)
        if panel.kind is PanelKind.TABLE:
            target.format(PromQueryFormat.TABLE).instant()
        else:
            target.range()
        built.with_target(target)
    return built


def links(panel: Panel, board: Board) -> list[tuple[str, str]]:
    """Title and address: its alerts, their runbooks, and where there is more, on other dashboards or in the console."""
    found = []
    for alert in panel.alerts:
        found.append((f"Alert {alert}", f"/alerting/list?search=rule:{alert}"))
        found.append((f"Runbook {alert}", f"${{runbooks:raw}}/{alert.lower()}.md"))
    own = f"/d/{board.uid}?"
    return found + [(detail.title, detail.url) for detail in panel.details if not detail.url.startswith(own)]


def _link(title: str, url: str) -> builders.DashboardLink:
    return builders.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)


def _limits(panel: Panel) -> builders.ThresholdsConfig:
    colours = COLOURS if len(panel.limits) == 2 else (COLOURS[0], COLOURS[-1])
    steps = [
        Threshold(value=value, color=colour) for value, colour in zip((None, *panel.limits), colours, strict=False)
    ]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _lines(panel: Panel) -> timeseries.Panel:
    legend = shared.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE).show_legend(True)
    legend.placement(common.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])
    built = timeseries.Panel().legend(legend).min(0).line_width(1)
    built.tooltip(shared.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    built.fill_opacity(70 if panel.stacked else 10).show_points(common.VisibilityMode.NEVER)
    if panel.stacked:
        built.stacking(shared.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.least is not None:
        built.axis_soft_max(panel.least)
    if panel.limits:
        built.thresholds(_limits(panel))
        built.thresholds_style(shared.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    return built


def _number(panel: Panel) -> stat.Panel:
    built = stat.Panel().graph_mode(common.BigValueGraphMode.AREA).color_mode(common.BigValueColorMode.VALUE)
    built.reduce_options(shared.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    return built.thresholds(_limits(panel)) if panel.limits else built


def _heat_map(panel: Panel) -> heatmap.Panel:
    built = heatmap.Panel().calculate(False).show_legend()
    built.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
    return built.y_axis(heatmap.YAxisConfig().unit(Unit.SECONDS.value))


def _table(panel: Panel) -> table.Panel:
    built = table.Panel().show_header(True)
    return built.color_scheme(builders.FieldColor().mode(FieldColorModeId.THRESHOLDS))


_MAKERS: Final[Mapping[PanelKind, Callable[[Panel], AnyPanel]]] = {
    PanelKind.LINES: _lines,
    PanelKind.NUMBER: _number,
    PanelKind.HEAT_MAP: _heat_map,
    PanelKind.TABLE: _table,
}
