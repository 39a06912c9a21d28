"""`tactful demo`: starts and stops the imaginary shop of `tactful dev`."""

from typing import Any

import typer

from tactful.command_errors import EXIT_NOT_FOUND, CommandError
from tactful.connection import connect_dev
from tactful.output import OutputFormat, OutputOption, print_data, print_message, show_spinner, suggest_command

app = typer.Typer(no_args_is_help=True, help="Start and stop the imaginary shop of `tactful dev`.")
PATH = "/v1/dev/demo"


@app.command()
def start(output: OutputOption = OutputFormat.TABLE) -> None:
    """Register the shop where it is missing, and start its events."""
    with show_spinner("registering the shop and its customers"):
        state = _request_demo("start")
    if output is not OutputFormat.TABLE:
        print_data(state, output)
        return
    print_message(f"The shop has {state['customers']} customers. Messages to them stay in the sandbox.")
    if state["running"]:
        print_message("Events arrive every few seconds.")
        suggest_command("tactful events tail")
    else:
        print_message("The clock is stopped, so no events arrive by themselves.")
        suggest_command("tactful why ada referral-ask")


@app.command()
def stop(output: OutputOption = OutputFormat.TABLE) -> None:
    """Stop the events of the shop; its data stays."""
    state = _request_demo("stop")
    if output is not OutputFormat.TABLE:
        print_data(state, output)
        return
    print_message("The shop sends no more events.")


def _request_demo(action: str) -> Any:
    with connect_dev("admin", "the demo") as api:
        try:
            return api.post(PATH, {"action": action})
        except CommandError as error:
            if error.exit_code == EXIT_NOT_FOUND:
                raise CommandError("there is no demo here: it exists only in `tactful dev`") from None
            raise
