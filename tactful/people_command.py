"""`tactful people`: who has signed in by the company's sign-in; disables, enables and releases them."""

from typing import Annotated, Any

import typer

from services.kit.http.path_segments import quote_segment
from tactful.connection import connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message

app = typer.Typer(no_args_is_help=True, help="List, disable and enable people who sign in by the company.")
PATH = "/v1/people"
COLUMNS = {
    "id": "id",
    "name": "name",
    "role": "role",
    "granted by": "granted_by",
    "topics": "topics",
    "owners": "owners",
    "last sign-in": "last_sign_in",
    "disabled": "disabled",
}
PersonArgument = Annotated[str, typer.Argument(metavar="ID", help="The person's id, as `people list` shows it.")]


@app.command("list")
def list_people(output: OutputOption = OutputFormat.TABLE) -> None:
    """List everybody who has signed in by the company's sign-in."""
    with connect() as api:
        print_data(list(api.list_all(PATH)), output, COLUMNS, empty="nobody has signed in by the company's sign-in")


@app.command()
def disable(person_id: PersonArgument) -> None:
    """Disable a person: their sessions end, and their keys are refused, within 5 seconds everywhere."""
    print_message(f"disabled {_change(person_id, 'disable')['name']}")


@app.command()
def enable(person_id: PersonArgument) -> None:
    """Enable a person whom somebody has disabled."""
    print_message(f"enabled {_change(person_id, 'enable')['name']}")


@app.command("release")
def release_account(person_id: PersonArgument) -> None:
    """Let the next account with this name be this person, as after a change of the provider."""
    name = _change(person_id, "release")["name"]
    print_message(f"the next account with the name {name} is {name} from now on")


def _change(person_id: str, action: str) -> dict[str, Any]:
    with connect() as api:
        changed: dict[str, Any] = api.post(f"{PATH}/{quote_segment(person_id)}/{action}", None)
    return changed
