"""`tactful why`: why would this customer get a campaign's message now, or why not."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from schemas.vocabulary import Channel
from tactful.connection import connect
from tactful.output import STYLES, Format, Output, cell, console, rows, show

COLUMNS = {"rule": "rule", "verdict": "verdict", "until": "until", "saw": "saw"}


def why(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    campaign: Annotated[str, typer.Argument(help="The campaign's key.")],
    channel: Annotated[
        Channel | None, typer.Option(help="On this channel.", show_default="the most promising one")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain what would be decided now, rule by rule. Nothing is sent or changed."""
    with connect() as api:
        answer = api.get("/v1/why", customer=customer, campaign=campaign, channel=channel)
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


def _line(verdict: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{verdict['rule']}: {verdict['id']}" if verdict["id"] else verdict["rule"]
    saw = ", ".join(f"{key} {_plain(value)}" for key, value in verdict["evidence"].items() if value is not None)
    return {"rule": name, "verdict": verdict["verdict"], "until": verdict["until"], "saw": saw}


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
