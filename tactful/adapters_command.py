"""`tactful adapters`: which adapters serve which channel and whether they can, and a test message by one of them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from schemas.vocabulary import Channel
from services.kit.http.path_segments import quote_segment
from tactful.command_errors import CommandError
from tactful.connection import connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message

app = typer.Typer(no_args_is_help=True, help="Show adapters, and send a test message by one.")
PATH = "/v1/adapters"
COLUMNS = {"adapter": "adapter", "channels": "channels", "state": "state", "waiting": "waiting", "lately": "lately"}
TEST_COLUMNS = {
    "message": "message_id",
    "outcome": "outcome",
    "fault": "fault",
    "detail": "detail",
    "seconds": "seconds",
}
TAKEN_WORDS = {
    "provider": "has taken it; whether it arrives, your own mailbox or telephone says",
    "customer": "has it: it is where the customer that you named gets it",
    "inbox": "has taken it; you find it in the sandbox inbox, nothing has left this installation",
    "nowhere": "has thrown it away: nothing is sent by it",
}
STATE_WORDS = {
    "serving": "serves",
    "no_dispatcher": "no process hands over",
    "throttled": "asked for time",
    "stalled": "does not answer",
    "failing": "fails",
    "account": "refuses the account",
}


@app.command("list")
def list_adapters(output: OutputOption = OutputFormat.TABLE) -> None:
    """Show the adapters of all channels, whether they can serve, what waits for them, and what they refused lately."""
    with connect() as api:
        shown = api.get(PATH)
    print_data([_row(each) for each in shown["items"]] if output is OutputFormat.TABLE else shown, output, COLUMNS)


@app.command("test")
def send_test(
    name: Annotated[str, typer.Argument(help="The adapter's name.")],
    to: Annotated[str, typer.Option(help="Your own address on the channel.")],
    channel: Annotated[Channel | None, typer.Option(help="Needed where the adapter serves several.")] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Send a test message to yourself. It passes no rule and is no contact. Exit code 1 if the adapter
    did not take it.
    """
    body = {"to": to, **({} if channel is None else {"channel": channel.value})}
    with connect() as api:
        result = api.post(f"{PATH}/{quote_segment(name)}/test", body)
    print_data([result] if output is OutputFormat.TABLE else result, output, TEST_COLUMNS)
    if result["outcome"] != "accepted":
        raise CommandError(f"{name} did not take the message", hint=result["detail"])
    print_message(f"{name} {TAKEN_WORDS[result.get('destination', 'provider')]}")


def _row(adapter: Mapping[str, Any]) -> dict[str, object]:
    name, kind = adapter["name"], adapter["kind"]
    state = STATE_WORDS[adapter["state"]]
    return {
        "adapter": name if name == kind else f"{name} ({kind})",
        "channels": "\n".join(_route_words(route) for route in adapter["channels"]),
        "state": _with_trial(f"{state} until {adapter['until']}" if adapter["until"] else state, adapter),
        "waiting": adapter["waiting"],
        "lately": "\n".join(f"{each['count']} x {each['outcome']}: {each['detail']}" for each in adapter["failures"]),
    }


def _with_trial(state: str, adapter: Mapping[str, Any]) -> str:
    """The state, and that the adapter is in trial mode. An API of an earlier version knows no trial mode."""
    recipients = adapter.get("trial_recipients")
    return state if recipients is None else f"{state}\ntrial mode: {recipients} recipients"


def _route_words(route: Mapping[str, Any]) -> str:
    conditions = [*route["classes"], *route["topics"], *route["countries"], *route["addresses"]]
    share = "stands by" if not route["weight"] else "" if route["weight"] == 1 else f"weight {route['weight']}"
    words = ", ".join(filter(None, [share, *conditions]))
    return f"{route['channel']} ({words})" if words else str(route["channel"])
