"""What a version in shadow decided, as the commands `campaigns shadow` and `policy shadow` print it."""

from typing import Annotated, Any

import typer

from tactful.connection import connect
from tactful.output import OutputFormat, print_data, print_message

COLUMNS = {"campaign": "campaign", "shadow": "outcome", "reason": "reason", "live": "live", "count": "count"}
ReportOption = Annotated[bool, typer.Option("--report", help="Show what it has decided so far, and start nothing.")]


def print_shadow_report(name: str, path: str, output: OutputFormat) -> None:
    """Print how often it decided what, and how far it agrees with what is live. Samples are in JSON and YAML."""
    with connect() as api:
        found = api.get(path)
    print_message(f"{name} version {found['version']}: {found['status']}, {_format_summary(found)}")
    print_data(found["table"] if output is OutputFormat.TABLE else found, output, COLUMNS)


def _format_summary(found: dict[str, Any]) -> str:
    parts = [f"{found['decisions']} decisions"]
    if found["agreement"] is not None:
        parts.append(f"{found['agreed']} of {found['compared']} agree ({found['agreement']:.1%})")
    skipped = sum(found["skipped_events"].values())
    if skipped:
        parts.append(f"{skipped} events left out")
    return ", ".join(parts)
