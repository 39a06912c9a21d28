"""`tactful consents`: the signed proof of a customer's consents, and whether a file of it is genuine."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.kit.http.path_segments import quote_segment
from services.kit.signed_json import NotGenuine, verify_document
from tactful.command_errors import CommandError
from tactful.connection import connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message

app = typer.Typer(no_args_is_help=True, help="Export the proof of a customer's consents, and verify exports.")
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of a file that is verified."""
COLUMNS = {
    "channel": "channel",
    "topic": "topic",
    "state": "state",
    "at": "at",
    "basis": "basis",
    "source": "source",
    "wording": "wording",
}


@app.command("list")
def list_consents(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show the recorded consents of a customer, the newest first."""
    with connect(service="preference") as api:
        shown = api.get(f"{_path(customer)}")
    print_data(shown["consents"] if output is OutputFormat.TABLE else shown, output, COLUMNS)


@app.command("export")
def export_consents(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    file: Annotated[Path, typer.Argument(help="Where to write the signed JSON.", dir_okay=False)],
) -> None:
    """Write all proofs of a customer's consents into a file, signed."""
    with connect(service="preference") as api:
        document = api.get_bytes(f"{_path(customer)}/export")
    try:
        file.write_bytes(document)
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
    print_message(f"written to {file}; `tactful consents verify {file}` tells whether it is genuine")


@app.command("key")
def show_key() -> None:
    """Show the public key that verifies the exports of this installation."""
    with connect(service="preference") as api:
        print(api.get("/v1/consents/key")["key"])


@app.command("verify")
def verify_export(
    file: Annotated[Path, typer.Argument(help="A signed export.", dir_okay=False)],
    key: Annotated[
        str | None, typer.Option(help="The public key that must have signed it, as `tactful consents key` shows it.")
    ] = None,
) -> None:
    """Tell whether a file is as it was signed. Works without a connection. Exit code 1 if it is not.

    Without --key only the key in the file is used: compare it with the one of the installation.
    """
    try:
        found = verify_document(_read_export(file), key)
    except NotGenuine as error:
        raise CommandError(f"{file} is not genuine: {error}") from None
    said = found.content
    print_message(f"{file} is as it was signed")
    print(f"customer {said.get('customer')}, exported {said.get('exported')}, {_count(said, 'consents')} consents")
    if key is None:
        print_message(f"signed by {found.key}: compare it with `tactful consents key`, or use --key")


def _path(customer: str) -> str:
    return f"/v1/preferences/{quote_segment(customer)}/consents"


def _count(content: dict[str, Any], name: str) -> int:
    listed = content.get(name)
    return len(listed) if isinstance(listed, list) else 0


def _read_export(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            document = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    if len(document) > MAX_BYTES:
        raise CommandError(f"{file} has more than {MAX_BYTES} bytes: it is no export of Tactful")
    return document
