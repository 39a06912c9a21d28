"""`tactful suppressions`: imports and exports the do-not-contact list, and removes entries by two people."""

import codecs
import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.kit.http.path_segments import quote_segment
from tactful.command_errors import CommandError
from tactful.connection import ApiClient, connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message, suggest_command
from tactful.progress import show_progress

app = typer.Typer(no_args_is_help=True, help="Import, export and remove do-not-contact entries.")
PATH = "/v1/suppressions"
IMPORTS = f"{PATH}/imports"
REMOVALS = f"{PATH}/removals"
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
REMOVAL_COLUMNS = {
    "id": "id",
    "state": "state",
    "entry": "entry_id",
    "because of": "entry_reason",
    "of": "of",
    "reason": "reason",
    "asked by": "requested_by",
    "decided by": "decided_by",
}
_MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class FileFormat(StrEnum):
    """A format of files of entries."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a first line of columns, or one entry a line as JSON.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would become of each row; add nothing.")
    ] = False,
    format_: Annotated[
        FileFormat | None, typer.Option("--format", help="Taken from the name of the file else.")
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Import a file, wait until its entries are in force, and show the rows that were refused. Exit code 1 if any."""
    media_type = _MEDIA_TYPES[format_.value if format_ is not None else _guess_format(file)]
    with connect(service="suppression") as api:
        try:
            with file.open("rb") as body:
                job = api.request(
                    "POST",
                    IMPORTS,
                    content=body,
                    headers={"Content-Type": media_type},
                    params={"dry_run": str(dry_run).lower()},
                )
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        job = _wait_for(api, job)
        refused = api.get(f"{IMPORTS}/{job['id']}/results", result="refused", limit=SHOWN_REFUSALS)["items"]
    print_data([job] if output is OutputFormat.TABLE else {**job, "items": refused}, output, JOB_COLUMNS)
    if refused and output is OutputFormat.TABLE:
        print_data(refused, output, ROW_COLUMNS)
    if job["refused"] > len(refused):
        print_message(f"These are the first {len(refused)} rows of {job['refused']:,} that were refused.")
    if job["refused"]:
        suggest_command(f"tactful suppressions results {job['id']} --refused")
    if job["problem"]:
        raise CommandError(job["problem"])
    if job["state"] != "done" or job["refused"]:
        raise typer.Exit(1)


@app.command()
def results(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The import's id, such as imp_0645….")],
    refused: Annotated[bool, typer.Option("--refused", help="Only the rows that were refused.")] = False,
    format_: Annotated[FileFormat, typer.Option("--format", help="How to write them.")] = FileFormat.CSV,
    to: Annotated[Path | None, typer.Option(help="Write to this file.", show_default="standard output")] = None,
) -> None:
    """Write what became of each row of an import."""
    query = {"format": format_.value, **({"result": "refused"} if refused else {})}
    with connect(service="suppression") as api:
        _save(api, f"{IMPORTS}/{quote_segment(id_)}/results/file", query, to)


@app.command()
def export(
    format_: Annotated[FileFormat, typer.Option("--format", help="How to write the entries.")] = FileFormat.CSV,
    reason: Annotated[str | None, typer.Option(help="Entries of this reason.", show_default="all")] = None,
    to: Annotated[Path | None, typer.Option(help="Write to this file.", show_default="standard output")] = None,
) -> None:
    """Write all live entries. Addresses are masked: only their keyed hashes are kept, so nobody can write them out."""
    query = {"format": format_.value, **({} if reason is None else {"reason": reason})}
    with connect(service="suppression") as api:
        _save(api, f"{PATH}/export", query, to)


@app.command()
def remove(
    entry: Annotated[str, typer.Argument(help="The entry's id, such as sup_0645….")],
    reason: Annotated[str, typer.Option(help="Why, for whoever approves it.")],
    consent_of: Annotated[
        str | None, typer.Option(help="The customer who has consented anew, for a complaint or a STOP.")
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Ask for the removal of an entry, which stays in force until another person approves."""
    body = {"reason": reason, **({} if consent_of is None else {"consent_of": consent_of})}
    with connect(service="suppression") as api:
        request = api.request("DELETE", f"{PATH}/{quote_segment(entry)}", json=body)
    _print_removals([request], output)
    suggest_command(f"tactful suppressions approve {request['id']}")


@app.command()
def removals(
    state: Annotated[str | None, typer.Option(help="Requests in this state.", show_default="all")] = "requested",
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """List removal requests, newest first."""
    with connect(service="suppression") as api:
        _print_removals(list(api.list_all(REMOVALS, state=None if state == "all" else state)), output)


@app.command()
def approve(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The request's id, such as rem_0645….")],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Remove the entry of a request that somebody else has made, with a key that they have not made."""
    with connect(service="suppression") as api:
        _print_removals([api.post(f"{REMOVALS}/{quote_segment(id_)}/approve")], output)


@app.command()
def decline(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The request's id, such as rem_0645….")],
    reason: Annotated[str | None, typer.Option(help="Why, for whoever asked.")] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Keep the entry of a request; whoever asked for it withdraws it so."""
    with connect(service="suppression") as api:
        answer = api.post(f"{REMOVALS}/{quote_segment(id_)}/decline", {} if reason is None else {"reason": reason})
        _print_removals([answer], output)


def _guess_format(file: Path) -> str:
    found = _ENDINGS.get(file.suffix.lower())
    if found is None:
        raise typer.BadParameter(f"the name {file.name} does not say: csv or jsonl", param_hint="--format")
    return found


def _wait_for(api: ApiClient, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """The import, once it has ended."""
    shown = 0
    with show_progress("Importing", total=job["rows"]) as advance:
        while job["finished"] is None:
            time.sleep(POLL_SECONDS)
            job = api.get(f"{IMPORTS}/{job['id']}")
            advance(job["read"] - shown)
            shown = job["read"]
    return job


def _save(api: ApiClient, path: str, query: Mapping[str, str], to: Path | None) -> None:
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


def _print_removals(requests: list[Any], output: OutputFormat) -> None:
    rows = [{**each, "of": each["customer"] or each["address_masked"]} for each in requests]
    print_data(rows if output is OutputFormat.TABLE else requests, output, REMOVAL_COLUMNS)
    for each in requests:
        if each["notice"] and each["state"] == "requested":
            print_message(f"{each['id']}: the entry was {each['notice']}")
