"""`tactful keys`: who may do what. A person is a key's name."""

from typing import Annotated

import typer

from schemas.roles import Role
from tactful.connection import connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message

app = typer.Typer(no_args_is_help=True, help="API keys: a person or a program each.")
PATH = "/v1/keys"
COLUMNS = {
    "id": "id",
    "name": "name",
    "role": "role",
    "created": "created",
    "revoked": "revoked",
}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Make a key. It is shown this once."""
    with connect() as api:
        created_key = api.post(PATH, {"name": name, "role": role.value})
    print_data(created_key, output)
    print_message("Keep the key now: it is not shown again.")


@app.command("list")
def list_(output: OutputOption = OutputFormat.TABLE) -> None:
    """List all keys by their prefixes."""
    with connect() as api:
        print_data(list(api.list_all(PATH)), output, COLUMNS)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")]) -> None:
    """Revoke a key: it works nowhere after at most 5 seconds."""
    with connect() as api:
        api.delete(f"{PATH}/{key_id}")
    print_message(f"revoked {key_id}")
