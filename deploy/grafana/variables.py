"""What a reader chooses at the top of a dashboard, and what is marked on its time axes."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import VariableHide, VariableOption, VariableRefresh, VariableSort

from deploy.grafana.board import Board
from deploy.grafana.metric_labels import EVERYWHERE, scope

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "http://localhost:8000/runbooks"
CONSOLE = "http://localhost:8000/console"
"""Where compose.yml has them."""
ALL = "$__all"
OF_LABELS = {"channel": "tactful_delivery_queue_messages", "class": "tactful_decision_duration_seconds_count"}
"""Variables of our own labels that every dashboard has: label -> a metric that has all its values from the start."""
OF_TARGETS = dict.fromkeys(EVERYWHERE, "up")

DEPLOYMENTS = scope(
    "group by (version, commit, schema_revision) (tactful_build_info)"
    " unless group by (version, commit, schema_revision) (tactful_build_info offset 5m)"
)
HOLDS = scope("max by (mode) (tactful_holds_active) > 0")
_ACTIVATIONS = (
    'sum(http_server_request_duration_seconds_count{http_route="/v1/policy/versions/{number}/activate",'
    ' http_response_status_code="200"}'
)
POLICY_ACTIVATIONS = scope(f"{_ACTIVATIONS}) - ({_ACTIVATIONS} offset 2m) or vector(0)) > 0")
ANNOTATIONS = (
    ("Deployments", DEPLOYMENTS, "blue", "Version {{version}}", "commit {{commit}}, schema {{schema_revision}}"),
    ("Holds", HOLDS, "orange", "Hold in force", "messages: {{mode}}"),
    ("Policy activations", POLICY_ACTIVATIONS, "purple", "Another version of the policy is active", ""),
)
"""Name, query, colour, title and text."""
MAY_HAVE_NONE = {
    "Holds": "No hold is in force.",
    "Deployments": "No version has started in the last five minutes.",
    "Policy activations": "Nobody has activated a version of the policy over HTTP in the last two minutes.",
}
"""Why an annotation's query may have no series."""


def label_query(label: str, metric: str) -> str:
    """The values that a variable offers."""
    return f"label_values({metric}, {label})"


def add_variables(dashboard: builders.Dashboard, board: Board) -> None:
    """The data source, the targets, channel and class, and those of this dashboard."""
    dashboard.with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for label, metric in (OF_TARGETS | OF_LABELS | dict(board.variables)).items():
        dashboard.with_variable(_choice(label, metric))
    for name, address in (("runbooks", RUNBOOKS), ("console", CONSOLE)):
        dashboard.with_variable(builders.ConstantVariable(name).value(address))


def _choice(label: str, metric: str) -> builders.QueryVariable:
    """Any of the values of a label. "All" is any value and none, for installations without clusters."""
    query: dict[str, object] = {"query": label_query(label, metric), "refId": "StandardVariableQuery"}
    return (
        builders.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query(query)
        .definition(label_query(label, metric))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .hide(VariableHide.DONT_HIDE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text=["All"], value=[ALL]))
    )


def add_annotations(dashboard: builders.Dashboard) -> None:
    """Deployments, holds and activations of the policy."""
    for name, query, colour, title, text in ANNOTATIONS:
        target = prometheus.Dataquery().expr(query).range().ref_id("Anno").datasource(SOURCE)
        dashboard.annotation(
            builders.AnnotationQuery()
            .name(name)
            .datasource(SOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(query)
            .target(target)
            .title_format(title)
            .text_format(text)
            .step("15s")
        )
