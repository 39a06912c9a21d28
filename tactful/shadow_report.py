"""Prints what a version in shadow has decided, for `campaigns shadow --report` and `policy shadow --report`."""

from typing import Annotated, Any

import typer

from tactful.connection import connect
from tactful.output import OutputFormat, print_data, print_message

COLUMNS = {"campaign": "campaign", "shadow": "outcome", "reason": "reason", "live": "live", "count": "count"}
ReportOption = Annotated[bool, typer.Option("--report", help="Only report what it has decided so far.")]


def print_shadow_report(name: str, path: str, output: OutputFormat) -> None:
    """Print counts of its decisions and its agreement with the live version. JSON and YAML also have samples."""
    with connect() as api:
        report = api.get(path)
    print_message(f"{name} version {report['version']}: {report['status']}, {_format_summary(report)}")
    empty = "it has decided nothing yet: no event has triggered it since it is in shadow"
    print_data(report["table"] if output is OutputFormat.TABLE else report, output, COLUMNS, empty=empty)


def _format_summary(report: dict[str, Any]) -> str:
    parts = [f"{report['decisions']} decisions"]
    if report["agreement"] is not None:
        parts.append(f"{report['agreed']} of {report['compared']} agree ({report['agreement']:.1%})")
    skipped = sum(report["skipped_events"].values())
    if skipped:
        parts.append(f"{skipped} events skipped")
    return ", ".join(parts)
