"""`tactful suppressions`: imports and exports the do-not-contact list, and removes entries by two people."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.kit.http.path_segments import quote_segment
from tactful.connection import connect
from tactful.import_files import (
    DryRunOption,
    FileArgument,
    FileFormat,
    FormatOption,
    ImportIdArgument,
    ImportPlace,
    RefusedOption,
    TargetOption,
    WriteFormatOption,
    import_file,
    save_stream,
    write_results,
)
from tactful.output import OutputFormat, OutputOption, print_data, print_message, suggest_command

app = typer.Typer(no_args_is_help=True, help="Import, export and remove do-not-contact entries.")
PATH = "/v1/suppressions"
REMOVALS = f"{PATH}/removals"
IMPORT_PLACE: Final = ImportPlace(f"{PATH}/imports", "suppression", "tactful suppressions results")
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


@app.command("import")
def import_(
    file: FileArgument,
    dry_run: DryRunOption = False,
    format_: FormatOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Import a file, wait until its entries are in force, and show the rows that were refused. Exit code 1 if any."""
    import_file(IMPORT_PLACE, file, dry_run, format_, output)


@app.command()
def results(
    id_: ImportIdArgument,
    refused: RefusedOption = False,
    format_: WriteFormatOption = FileFormat.CSV,
    to: TargetOption = None,
) -> None:
    """Write what became of each row of an import."""
    write_results(IMPORT_PLACE, id_, refused, format_, to)


@app.command()
def export(
    format_: Annotated[FileFormat, typer.Option("--format", help="How to write the entries.")] = FileFormat.CSV,
    reason: Annotated[str | None, typer.Option(help="Entries of this reason.", show_default="all")] = None,
    to: Annotated[Path | None, typer.Option(help="Write to this file.", show_default="standard output")] = None,
) -> None:
    """Write all live entries. Addresses are masked: only their keyed hashes are kept, so nobody can write them out."""
    query = {"format": format_.value, **({} if reason is None else {"reason": reason})}
    with connect(service="suppression") as api:
        save_stream(api, f"{PATH}/export", query, to)


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


def _print_removals(requests: list[Any], output: OutputFormat) -> None:
    rows = [{**each, "of": each["customer"] or each["address_masked"]} for each in requests]
    print_data(rows if output is OutputFormat.TABLE else requests, output, REMOVAL_COLUMNS)
    for each in requests:
        if each["notice"] and each["state"] == "requested":
            print_message(f"{each['id']}: the entry was {each['notice']}")
