"""What a version in shadow decided, as the commands `campaigns shadow` and `policy shadow` print it."""

from typing import Annotated, Any

import typer

from tactful.connection import connect
from tactful.output import Format, show, talk

COLUMNS = {"campaign": "campaign", "shadow": "outcome", "reason": "reason", "live": "live", "count": "count"}
Report = Annotated[bool, typer.Option("--report", help="Show what it has decided so far, and start nothing.")]


def report(name: str, path: str, output: Format) -> None:
    """Print how often it decided what, and how far it agrees with what is live. Samples are in JSON and YAML."""
    with connect() as api:
        found = api.get(path)
    talk(f"{name} version {found['version']}: {found['status']}, {_told(found)}")
    show(found["table"] if output is Format.TABLE else found, output, COLUMNS)


def _told(found: dict[str, Any]) -> str:
    parts = [f"{found['decisions']} decisions"]
    if found["agreement"] is not None:
        parts.append(f"{found['agreed']} of {found['compared']} agree ({found['agreement']:.1%})")
    skipped = sum(found["skipped_events"].values())
    if skipped:
        parts.append(f"{skipped} events left out")
    return ", ".join(parts)
