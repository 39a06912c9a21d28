"""`tactful import`: brings what another tool knew, as files: customers, consents, past contacts and situations."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import typer

from tactful.connection import ServiceName
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
    write_results,
)
from tactful.output import OutputFormat, OutputOption

app = typer.Typer(no_args_is_help=True, help="Import customers, consents, past contacts and situations from files.")


class ImportKind(StrEnum):
    """What a file has."""

    CUSTOMERS = "customers"
    CONSENTS = "consents"
    CONTACTS = "contacts"
    SITUATIONS = "situations"


_SERVICES: Final[Mapping[ImportKind, ServiceName]] = {
    ImportKind.CUSTOMERS: "preference",
    ImportKind.CONSENTS: "preference",
    ImportKind.CONTACTS: "orchestrator",
    ImportKind.SITUATIONS: "suppression",
}
_PLACES: Final = {
    kind: ImportPlace(f"/v1/imports/{kind.value}", service, f"tactful import results {kind.value}")
    for kind, service in _SERVICES.items()
}


@app.command()
def customers(
    file: FileArgument,
    dry_run: DryRunOption = False,
    format_: FormatOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Import customers with traits and addresses, and show the rows that were refused. Exit code 1 if any."""
    import_file(_PLACES[ImportKind.CUSTOMERS], file, dry_run, format_, output)


@app.command()
def consents(
    file: FileArgument,
    dry_run: DryRunOption = False,
    format_: FormatOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Import consents, refusals and opt-outs, and show the rows that were refused. Exit code 1 if any."""
    import_file(_PLACES[ImportKind.CONSENTS], file, dry_run, format_, output)


@app.command()
def contacts(
    file: FileArgument,
    dry_run: DryRunOption = False,
    format_: FormatOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Import contacts that other tools made: caps count them, nothing is sent. Exit code 1 if a row was refused."""
    import_file(_PLACES[ImportKind.CONTACTS], file, dry_run, format_, output)


@app.command()
def situations(
    file: FileArgument,
    dry_run: DryRunOption = False,
    format_: FormatOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Import situations, such as open complaints, and show the rows that were refused. Exit code 1 if any."""
    import_file(_PLACES[ImportKind.SITUATIONS], file, dry_run, format_, output)


@app.command()
def results(
    kind: Annotated[ImportKind, typer.Argument(help="What was imported.")],
    id_: ImportIdArgument,
    refused: RefusedOption = False,
    format_: WriteFormatOption = FileFormat.CSV,
    to: TargetOption = None,
) -> None:
    """Write what became of each row of an import."""
    write_results(_PLACES[kind], id_, refused, format_, to)
