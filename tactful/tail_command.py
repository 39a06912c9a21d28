"""`tactful events tail`: what is decided because of events, as it comes."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer
import yaml
from rich.text import Text

from schemas.times import SECOND, Instant, format_instant, parse_duration, parse_instant
from schemas.vocabulary import Outcome
from tactful.connection import Api, connect
from tactful.output import STYLES, Format, Output, console, talk

PATH = "/v1/decisions"
POLL = 1.0
"""Seconds between two looks."""
OVERLAP = 10 * SECOND
"""How far each look goes back: several workers decide, and the later of two decisions may be kept first."""
WIDTHS = {"customer": 11, "campaign": 20, "channel": 7, "outcome": 8}


class Tail:
    """Decisions from an instant on, each once. `wanted`: the filters of GET /v1/decisions."""

    def __init__(self, api: Api, since: Instant, type_: str | None, wanted: Mapping[str, str | None]) -> None:
        self._api = api
        self._since = since
        self._type = type_
        self._wanted = wanted
        self._seen: dict[int, Instant] = {}

    def fresh(self) -> Iterator[dict[str, Any]]:
        """What has come since the last look, in order of time."""
        newest = max(self._seen.values(), default=self._since)
        begin = max(self._since, newest - OVERLAP)
        self._seen = {number: at for number, at in self._seen.items() if at >= begin}
        for decision in self._api.every(PATH, **self._wanted, **{"from": format_instant(begin)}):
            if decision["decision_id"] not in self._seen:
                self._seen[decision["decision_id"]] = parse_instant(decision["time"])
                if self._type in (None, decision["event"]["type"]):
                    yield decision


def tail(
    type_: Annotated[str | None, typer.Option("--type", help="Of events of this type: shop.order.shipped")] = None,
    customer: Annotated[str | None, typer.Option(help="About this customer.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Of this campaign.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="With this outcome.")] = None,
    since: Annotated[str | None, typer.Option(help="How far back to begin: 10m, 2h.", show_default="now")] = None,
    once: Annotated[bool, typer.Option("--once", help="Show what is there and end.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Follow what events lead to, one line a decision, until Ctrl-C."""
    wanted = {"customer": customer, "campaign": campaign, "outcome": outcome and outcome.value}
    with connect() as api:
        following = Tail(api, parse_instant(api.now()) - _span(since), type_, wanted)
        if once:
            _print(following.fresh(), output)
            return
        talk("Waiting for decisions; Ctrl-C ends it.", "dim")
        with suppress(KeyboardInterrupt):
            _print(_endless(following), output)


def _endless(following: Tail) -> Iterator[dict[str, Any]]:
    while True:
        yield from following.fresh()
        time.sleep(POLL)


def _print(decisions: Iterable[Mapping[str, Any]], output: Format) -> None:
    day = ""
    for decision in decisions:
        if output is Format.TABLE and decision["time"][:10] != day:
            day = decision["time"][:10]
            talk(day, "bold")
        _line(decision, output)


def _line(decision: Mapping[str, Any], output: Format) -> None:
    match output:
        case Format.JSON:
            print(json.dumps(decision, ensure_ascii=False), flush=True)
        case Format.YAML:
            print(
                "---\n" + yaml.safe_dump(decision, sort_keys=False, allow_unicode=True, width=100), end="", flush=True
            )
        case Format.TABLE:
            line = Text(decision["time"][11:19])
            for field, width in WIDTHS.items():
                line.append(f"  {decision[field]:<{width}}", STYLES.get(decision[field], ""))
            console().print(line.append(f"  {decision['reason']}"))


def _span(text: str | None) -> int:
    try:
        return 0 if text is None else parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
