"""`tactful keys`: creates, lists, rotates and revokes API keys. The name of a key identifies a person or a program."""

from typing import Annotated

import typer

from schemas.roles import Role
from services.kit.http.path_segments import quote_segment
from tactful.connection import connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message

app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke API keys.")
PATH = "/v1/keys"
COLUMNS = {
    "id": "id",
    "name": "name",
    "role": "role",
    "sources": "sources",
    "topics": "topics",
    "owners": "owners",
    "created": "created",
    "expires": "expires",
    "revoked": "revoked",
    "last used": "last_used",
}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The person or program that uses it.")],
    role: Annotated[Role, typer.Option(help="What the key may do.")],
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends, such as 2027-01-01T00:00:00Z; by default never.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="A source of events, such as /shop, that it may send and read, with those below. Repeatable."
        ),
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Who holds it; without this it is that of a program with its name.")
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="A topic whose campaigns a marketer may change; by default all. Repeatable."),
    ] = None,
    owner: Annotated[
        list[str] | None, typer.Option(help="An owner whose campaigns a marketer may change. Repeatable.")
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Create a key. It is shown only once."""
    given = {"person": person, "expires": expires, "sources": source or None}
    given |= {"topics": topic or None, "owners": owner or None}
    body = {"name": name, "role": role.value, **{field: value for field, value in given.items() if value is not None}}
    with connect() as api:
        created_key = api.post(PATH, body)
    print_data(created_key, output)
    print_message("Save the key now: it is not shown again.")


@app.command("list")
def list_(output: OutputOption = OutputFormat.TABLE) -> None:
    """List all keys by their prefixes."""
    with connect() as api:
        print_data(
            list(api.list_all(PATH)), output, COLUMNS, empty="there are no keys; `tactful keys create` makes one"
        )


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    overlap: Annotated[str, typer.Option(metavar="SPAN", help="How long both keys work, such as 24h.")] = "24h",
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Create a key in place of another, of the same name and role. It is shown only once."""
    with connect() as api:
        created_key = api.post(f"{PATH}/{quote_segment(key_id)}/rotate", {"overlap": overlap})
    print_data(created_key, output)
    print_message(f"Save the key now: it is not shown again. The old one works for {overlap} more.")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")]) -> None:
    """Revoke a key. Within 5 seconds it is refused everywhere."""
    with connect() as api:
        api.delete(f"{PATH}/{quote_segment(key_id)}")
    print_message(f"revoked {key_id}")
