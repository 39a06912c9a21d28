"""`tactful why`: explains why a customer gets a message or not. `tactful replay`: repeats a past decision."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from schemas.vocabulary import Channel
from tactful.command_errors import CommandError
from tactful.connection import connect
from tactful.output import (
    WORD_STYLES,
    OutputFormat,
    OutputOption,
    create_console,
    format_cell,
    print_data,
    print_message,
    print_table,
)

COMPARISON_COLUMNS = {"": "", "then": "then", "again": "again"}
COLUMNS = {"rule": "rule", "verdict": "verdict", "until": "until", "because": "words"}


def why(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    campaign: Annotated[str, typer.Argument(help="The campaign's key.")],
    channel: Annotated[
        Channel | None, typer.Option(help="On this channel.", show_default="the most promising one")
    ] = None,
    at: Annotated[str | None, typer.Option(help="As of a past instant (RFC 3339).", show_default="now")] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Explain why a customer gets a message or not, rule by rule. Nothing is sent or changed."""
    with connect() as api:
        answer = api.get("/v1/why", customer=customer, campaign=campaign, channel=channel, at=at)
    if output is OutputFormat.TABLE:
        _print_explanation(answer)
    else:
        print_data(answer, output)


def _print_explanation(answer: Mapping[str, Any]) -> None:
    outcome = answer["outcome"]
    heading = Text.assemble(
        (outcome, f"bold {WORD_STYLES.get(outcome, '')}"),
        f"  {answer['campaign']} -> {answer['customer']} on {answer['channel']}: {answer['reason']}",
    )
    out = create_console()
    out.print(heading)
    out.print(format_cell(answer["sentence"]))
    out.print()
    print_table([_verdict_row(verdict) for verdict in answer["verdicts"]], COLUMNS)
    if answer["outcome"] != "send":
        out.print()
        out.print("What would have to change:" if answer["change"] else "Nothing that somebody could change.")
        for change in answer["change"]:
            out.print(format_cell(f"  - {change}"))
    if answer["assumed_event"] is None:
        print_message("No event of this customer has triggered the campaign so far: assumed is one without data.")
    if (waits := answer.get("waits")) is not None:  # an API of an earlier version does not say it
        until = f", until {waits['until']}" if waits["until"] else ""
        out.print()
        words = f"{waits['words']}{until} ({waits['reason']})"
        out.print(format_cell(f"Message {waits['message_id']} may be sent and waits: {words}"))
    for adapter in answer.get("in_trial", ()):
        print_message(f"{adapter} is in trial mode: a message goes out only if its recipient is on the list")
    others = [each for each in answer["channels"] if each["channel"] != answer["channel"]]
    if others:
        out.print()
        print_table(others, {"other channel": "channel", "outcome": "outcome", "because": "sentence"})
    for unknown in answer["unknown"]:
        print_message(f"unknown: {unknown}")


def replay(
    decision: Annotated[int, typer.Argument(help="The decision's id.", min=1)],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Repeat a decision from what was recorded at its time. Exit code 1 if the result differs."""
    with connect() as api:
        answer = api.get(f"/v1/decisions/{decision}", replay="true")
    replayed = answer["replay"]
    if output is OutputFormat.TABLE:
        _print_comparison(answer, replayed)
    else:
        print_data(answer, output)
    if replayed["same"] is False:
        raise CommandError(f"decision {decision} has a different result when it is repeated")


def _print_comparison(original: Mapping[str, Any], replayed: Mapping[str, Any]) -> None:
    replayed_decision = replayed["decision"] or {}
    verdict = {True: "the same", False: "different", None: "unknown"}[replayed["same"]]
    create_console().print(
        f"{verdict}  {original['campaign']} -> {original['customer']} on {original['channel']} at {original['time']}"
    )
    fields = ("outcome", "reason", "rule_id", "until", "lost_to", "sentence")
    replayed_values = {**replayed_decision, "sentence": replayed["sentence"]}
    print_table(
        [{"": name, "then": original[name], "again": replayed_values.get(name)} for name in fields], COMPARISON_COLUMNS
    )
    for unknown in replayed["unknown"]:
        print_message(f"unknown: {unknown}")


def _verdict_row(verdict: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{verdict['rule']}: {verdict['id']}" if verdict["id"] else verdict["rule"]
    return {"rule": name, "verdict": verdict["verdict"], "until": verdict["until"], "words": verdict["words"]}
