"""`tactful why`: why a customer gets a message or not. `tactful replay`: whether it would be decided so again."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from schemas.vocabulary import Channel
from tactful.command_errors import CommandError
from tactful.connection import connect
from tactful.output import STYLES, Format, Output, cell, console, rows, show, talk

COMPARED = {"": "", "then": "then", "again": "again"}
COLUMNS = {"rule": "rule", "verdict": "verdict", "until": "until", "saw": "saw"}


def why(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    campaign: Annotated[str, typer.Argument(help="The campaign's key.")],
    channel: Annotated[
        Channel | None, typer.Option(help="On this channel.", show_default="the most promising one")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="As of an instant of the past, in RFC 3339.", show_default="now")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain what would be decided now, or would have been then, rule by rule. Nothing is sent or changed."""
    with connect() as api:
        answer = api.get("/v1/why", customer=customer, campaign=campaign, channel=channel, at=at)
    if output is Format.TABLE:
        _explain(answer)
    else:
        show(answer, output)


def _explain(answer: Mapping[str, Any]) -> None:
    outcome = answer["outcome"]
    heading = Text.assemble(
        (outcome, f"bold {STYLES.get(outcome, '')}"),
        f"  {answer['campaign']} -> {answer['customer']} on {answer['channel']}: {answer['reason']}",
    )
    to = console()
    to.print(heading)
    to.print(cell(answer["sentence"]))
    to.print()
    rows([_line(verdict) for verdict in answer["verdicts"]], COLUMNS)
    others = [each for each in answer["channels"] if each["channel"] != answer["channel"]]
    if others:
        to.print()
        rows(others, {"other channel": "channel", "outcome": "outcome", "because": "sentence"})
    for unknown in answer["unknown"]:
        talk(f"unknown: {unknown}")


def replay(
    decision: Annotated[int, typer.Argument(help="The decision's id.", min=1)], output: Output = Format.TABLE
) -> None:
    """Judge a decision again from what was kept of its time; fails when it comes out differently."""
    with connect() as api:
        answer = api.get(f"/v1/decisions/{decision}", replay="true")
    replayed = answer["replay"]
    if output is Format.TABLE:
        _compare(answer, replayed)
    else:
        show(answer, output)
    if replayed["same"] is False:
        raise CommandError(f"decision {decision} comes out differently when it is judged again")


def _compare(then: Mapping[str, Any], replayed: Mapping[str, Any]) -> None:
    again = replayed["decision"] or {}
    verdict = {True: "the same", False: "different", None: "cannot be told"}[replayed["same"]]
    console().print(f"{verdict}  {then['campaign']} -> {then['customer']} on {then['channel']} at {then['time']}")
    fields = ("outcome", "reason", "rule_id", "until", "lost_to", "sentence")
    said = {**again, "sentence": replayed["sentence"]}
    rows([{"": name, "then": then[name], "again": said.get(name)} for name in fields], COMPARED)
    for unknown in replayed["unknown"]:
        talk(f"unknown: {unknown}")


def _line(verdict: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{verdict['rule']}: {verdict['id']}" if verdict["id"] else verdict["rule"]
    saw = ", ".join(f"{key} {_plain(value)}" for key, value in verdict["evidence"].items() if value is not None)
    return {"rule": name, "verdict": verdict["verdict"], "until": verdict["until"], "saw": saw}


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
