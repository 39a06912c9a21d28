"""`tactful demo`: the imaginary shop of `tactful dev`."""

from typing import Any

import typer

from tactful.command_errors import EXIT_NOT_FOUND, CommandError
from tactful.connection import connect_dev
from tactful.output import OutputFormat, OutputOption, print_data, print_message, show_spinner, suggest_command

app = typer.Typer(no_args_is_help=True, help="An imaginary shop, in `tactful dev` alone.")
PATH = "/v1/dev/demo"


@app.command()
def start(output: OutputOption = OutputFormat.TABLE) -> None:
    """Register the shop's rules and customers where they are missing, and let its events trickle in."""
    with show_spinner("registering the shop and its customers"):
        state = _request_demo("start")
    if output is not OutputFormat.TABLE:
        print_data(state, output)
        return
    print_message(
        f"{state['customers']} customers of the shop are there; nothing that is sent to them leaves the sandbox."
    )
    if state["running"]:
        print_message("Events trickle in.")
        suggest_command("tactful events tail")
    else:
        print_message("The clock stands still, so no event comes by itself.")
        suggest_command("tactful why ada referral-ask")


@app.command()
def stop(output: OutputOption = OutputFormat.TABLE) -> None:
    """Let no more events come; what is there stays."""
    state = _request_demo("stop")
    if output is not OutputFormat.TABLE:
        print_data(state, output)
        return
    print_message("No more events come by themselves.")


def _request_demo(action: str) -> Any:
    with connect_dev("admin", "the demo") as api:
        try:
            return api.post(PATH, {"action": action})
        except CommandError as error:
            if error.exit_code == EXIT_NOT_FOUND:
                raise CommandError("there is no demo here: it exists in `tactful dev` alone") from None
            raise
