"""`tactful events tail`: prints decisions as they are made, by polling GET /v1/decisions."""

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
from tactful.connection import ApiClient, connect
from tactful.output import WORD_STYLES, OutputFormat, OutputOption, create_console, print_message

PATH = "/v1/decisions"
POLL_SECONDS = 1.0
"""Seconds between two requests."""
OVERLAP = 10 * SECOND
"""How far each request reaches back: several workers decide, and the later of two decisions may be committed first."""
WIDTHS = {"customer": 11, "campaign": 20, "channel": 7, "outcome": 8}


class DecisionTail:
    """Reads decisions from an instant on, each once. `filters` are those of GET /v1/decisions."""

    def __init__(self, api: ApiClient, since: Instant, type_: str | None, filters: Mapping[str, str | None]) -> None:
        self._api = api
        self._since = since
        self._type = type_
        self._filters = filters
        self._seen_times: dict[int, Instant] = {}

    def read_new(self) -> Iterator[dict[str, Any]]:
        """The decisions that are new since the last call, in order of time."""
        newest = max(self._seen_times.values(), default=self._since)
        window_start = max(self._since, newest - OVERLAP)
        self._seen_times = {number: at for number, at in self._seen_times.items() if at >= window_start}
        for decision in self._api.list_all(PATH, **self._filters, **{"from": format_instant(window_start)}):
            if decision["decision_id"] not in self._seen_times:
                self._seen_times[decision["decision_id"]] = parse_instant(decision["time"])
                if self._type in (None, decision["event"]["type"]):
                    yield decision


def tail(
    type_: Annotated[
        str | None, typer.Option("--type", help="For events of this type, such as shop.order.shipped.")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="For this customer.")] = None,
    campaign: Annotated[str | None, typer.Option(help="For this campaign.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="With this outcome.")] = None,
    since: Annotated[str | None, typer.Option(help="How far back to start: 10m, 2h.", show_default="now")] = None,
    once: Annotated[bool, typer.Option("--once", help="Show the decisions so far and exit.")] = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Follow decisions as they are made, one line each, until Ctrl-C."""
    filters = {"customer": customer, "campaign": campaign, "outcome": outcome and outcome.value}
    with connect() as api:
        decision_tail = DecisionTail(api, parse_instant(api.now()) - _parse_since(since), type_, filters)
        if once:
            _print_decisions(decision_tail.read_new(), output)
            return
        print_message("Waiting for decisions; press Ctrl-C to stop.", "dim")
        with suppress(KeyboardInterrupt):
            _print_decisions(_follow(decision_tail), output)


def _follow(decision_tail: DecisionTail) -> Iterator[dict[str, Any]]:
    while True:
        yield from decision_tail.read_new()
        time.sleep(POLL_SECONDS)


def _print_decisions(decisions: Iterable[Mapping[str, Any]], output: OutputFormat) -> None:
    day = ""
    for decision in decisions:
        if output is OutputFormat.TABLE and decision["time"][:10] != day:
            day = decision["time"][:10]
            print_message(day, "bold")
        _print_decision(decision, output)


def _print_decision(decision: Mapping[str, Any], output: OutputFormat) -> None:
    match output:
        case OutputFormat.JSON:
            print(json.dumps(decision, ensure_ascii=False), flush=True)
        case OutputFormat.YAML:
            print(
                "---\n" + yaml.safe_dump(decision, sort_keys=False, allow_unicode=True, width=100), end="", flush=True
            )
        case OutputFormat.TABLE:
            line = Text(decision["time"][11:19])
            for field, width in WIDTHS.items():
                line.append(f"  {decision[field]:<{width}}", WORD_STYLES.get(decision[field], ""))
            create_console().print(line.append(f"  {decision['reason']}"))


def _parse_since(text: str | None) -> int:
    try:
        return 0 if text is None else parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
