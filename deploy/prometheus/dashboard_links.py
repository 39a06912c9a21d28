"""From an alert to the panel of a dashboard that shows what it is about."""

from deploy.grafana.boards import boards

OVERVIEW = "tactful-overview"


def dashboard_path(alert: str) -> str:
    """The path of the panel in Grafana. A dashboard of the subject goes before the overview, which has a little of all.

    An alert without a panel leads to the overview.
    """
    for board in sorted(boards(), key=lambda each: each.uid == OVERVIEW):
        for panel in board.panels():
            if alert in panel.alerts:
                return f"/d/{board.uid}?viewPanel={board.panel_id(panel)}"
    return f"/d/{OVERVIEW}"
