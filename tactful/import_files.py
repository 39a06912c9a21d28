"""Imports of files, for the commands of each kind: sends a file, waits until it is in force, and shows refused rows."""

import codecs
import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from services.kit.http.path_segments import quote_segment
from tactful.command_errors import CommandError
from tactful.connection import ApiClient, ServiceName, connect
from tactful.output import OutputFormat, print_data, print_message, suggest_command
from tactful.progress import show_progress

POLL_SECONDS = 0.5
SHOWN_REFUSALS = 20
JOB_COLUMNS = {
    "id": "id",
    "state": "state",
    "dry run": "dry_run",
    "rows": "rows",
    "added": "added",
    "exists": "exists",
    "refused": "refused",
}
ROW_COLUMNS = {"row": "row", "result": "result", "place": "pointer", "code": "code", "how to mend it": "detail"}
_MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class FileFormat(StrEnum):
    """A format of files."""

    CSV = "csv"
    JSONL = "jsonl"


class ImportPlace(NamedTuple):
    """Where one kind of import is: its path, its service, and the command that shows its results."""

    path: str
    service: ServiceName
    results_command: str


FileArgument = Annotated[
    Path, typer.Argument(help="CSV with a first line of columns, or one object a line as JSON.", dir_okay=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would become of each row; add nothing.")]
FormatOption = Annotated[FileFormat | None, typer.Option("--format", help="Taken from the name of the file else.")]
ImportIdArgument = Annotated[str, typer.Argument(metavar="ID", help="The import's id, such as imp_0645….")]
RefusedOption = Annotated[bool, typer.Option("--refused", help="Only the rows that were refused.")]
WriteFormatOption = Annotated[FileFormat, typer.Option("--format", help="How to write them.")]
TargetOption = Annotated[Path | None, typer.Option(help="Write to this file.", show_default="standard output")]


def import_file(place: ImportPlace, file: Path, dry_run: bool, format: FileFormat | None, output: OutputFormat) -> None:
    """Import a file, wait until its rows are in force, and show those that were refused.

    Raises CommandError for a file that cannot be read and for an import that has failed, typer.Exit(1) for refused rows
    and for an import that was cancelled.
    """
    media_type = _MEDIA_TYPES[format.value if format is not None else _guess_format(file)]
    with connect(service=place.service) as api:
        try:
            with file.open("rb") as body:
                job = api.request(
                    "POST",
                    place.path,
                    content=body,
                    headers={"Content-Type": media_type},
                    params={"dry_run": str(dry_run).lower()},
                )
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        job = _wait_for(api, place, job)
        refused = api.get(f"{place.path}/{job['id']}/results", result="refused", limit=SHOWN_REFUSALS)["items"]
    print_data([job] if output is OutputFormat.TABLE else {**job, "items": refused}, output, JOB_COLUMNS)
    if refused and output is OutputFormat.TABLE:
        print_data(refused, output, ROW_COLUMNS)
    if job["refused"] > len(refused):
        print_message(f"These are the first {len(refused)} rows of {job['refused']:,} that were refused.")
    if job["refused"]:
        suggest_command(f"{place.results_command} {job['id']} --refused")
    if job["problem"]:
        raise CommandError(job["problem"])
    if job["state"] != "done" or job["refused"]:
        raise typer.Exit(1)


def write_results(place: ImportPlace, id: str, refused: bool, format: FileFormat, to: Path | None) -> None:
    """Write what became of each row of an import. Raises CommandError where it cannot be written."""
    query = {"format": format.value, **({"result": "refused"} if refused else {})}
    with connect(service=place.service) as api:
        save_stream(api, f"{place.path}/{quote_segment(id)}/results/file", query, to)


def save_stream(api: ApiClient, path: str, query: Mapping[str, str], to: Path | None) -> None:
    """Write an answer to a file, or to standard output. Raises CommandError."""
    try:
        if to is None:
            for text in codecs.iterdecode(api.stream(path, query), "utf-8"):
                sys.stdout.write(text)
            return
        with to.open("wb") as target:
            for piece in api.stream(path, query):
                target.write(piece)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{to}: {error.strerror}") from None


def _guess_format(file: Path) -> str:
    found = _ENDINGS.get(file.suffix.lower())
    if found is None:
        raise typer.BadParameter(f"the name {file.name} does not say: csv or jsonl", param_hint="--format")
    return found


def _wait_for(api: ApiClient, place: ImportPlace, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """The import, once it has ended."""
    shown = 0
    with show_progress("Importing", total=job["rows"]) as advance:
        while job["finished"] is None:
            time.sleep(POLL_SECONDS)
            job = api.get(f"{place.path}/{job['id']}")
            advance(job["read"] - shown)
            shown = job["read"]
    return job
