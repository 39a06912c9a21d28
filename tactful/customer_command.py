"""`tactful customer`: what is known of a customer, as a file."""

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.kit.http.path_segments import quote_segment
from tactful.command_errors import CommandError
from tactful.connection import connect

LONGEST_WAIT = 600.0
"""Seconds that the command waits for the file; the export itself goes on."""
POLL_SECONDS = 0.5

app = typer.Typer(no_args_is_help=True, help="What is known of a customer.")


@app.callback()
def customer_group() -> None:
    """What is known of a customer."""


@app.command()
def export(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    file: Annotated[Path, typer.Option("--file", "-f", help="Where to write it. A file that exists is not replaced.")],
    form: Annotated[Literal["json", "html"], typer.Option(help="JSON, or a page to read.")] = "json",
) -> None:
    """Write all that is known of a customer, in all services, to a file that only you can read."""
    if file.exists():
        raise CommandError(f"{file} exists", hint="name another file")
    place = f"/v1/customers/{quote_segment(customer)}/exports"
    with connect() as api:
        shown = api.post(place)
        deadline = time.monotonic() + LONGEST_WAIT
        while shown["state"] in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            shown = api.get(f"{place}/{shown['id']}")
        if shown["state"] != "done":
            detail = shown["error"] or "it is not done yet"
            raise CommandError(f"export {shown['id']} is {shown['state']}: {detail}", hint="see the orchestrator's log")
        with open(file, "xb", opener=_open_private) as opened:
            for piece in api.stream(f"{place}/{shown['id']}/file", {"form": form}):
                opened.write(piece)
    rows = sum(each["rows"] for each in shown["sections"])
    typer.echo(f"{rows} rows of {customer} are in {file}; the copy on the server goes after {shown['deleted_after']}")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
