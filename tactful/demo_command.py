"""`tactful demo`: the imaginary shop of `tactful dev`."""

from typing import Any

import typer

from tactful.command_errors import NOT_FOUND, CommandError
from tactful.connection import connect_dev
from tactful.output import Format, Output, following, show, talk, working

app = typer.Typer(no_args_is_help=True, help="An imaginary shop, in `tactful dev` alone.")
PATH = "/v1/dev/demo"


@app.command()
def start(output: Output = Format.TABLE) -> None:
    """Register the shop's rules and customers where they are missing, and let its events trickle in."""
    with working("registering the shop and its customers"):
        state = _ask("start")
    if output is not Format.TABLE:
        show(state, output)
        return
    talk(f"{state['customers']} customers of the shop are there; nothing that is sent to them leaves the sandbox.")
    if state["running"]:
        talk("Events trickle in.")
        following("tactful events tail")
    else:
        talk("The clock stands still, so no event comes by itself.")
        following("tactful why ada referral-ask")


@app.command()
def stop(output: Output = Format.TABLE) -> None:
    """Let no more events come; what is there stays."""
    state = _ask("stop")
    if output is not Format.TABLE:
        show(state, output)
        return
    talk("No more events come by themselves.")


def _ask(action: str) -> Any:
    with connect_dev("admin", "the demo") as api:
        try:
            return api.post(PATH, {"action": action})
        except CommandError as error:
            if error.exit_code == NOT_FOUND:
                raise CommandError("there is no demo here: it exists in `tactful dev` alone") from None
            raise
