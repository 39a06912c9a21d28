"""`tactful simulate`: what would be decided, from files alone, with the very functions that production runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.times import Instant, parse_instant
from tactful.errors import CommandError
from tactful.output import console, talk

NOTHING = Path(os.devnull)


class Trace(StrEnum):
    """Which verdicts a line carries."""

    NONE = "none"
    DECISIVE = "decisive"
    FULL = "full"


def _file(help_: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=help_, exists=True)
    return option


def simulate(
    campaigns: Annotated[Path, typer.Option(help="A folder of campaigns.", exists=True, file_okay=False)],
    policy: Annotated[Path, _file("The policy.")],
    events: Annotated[Path, _file("CloudEvents, one a line.")],
    out: Annotated[Path, typer.Option(help="Where the decisions go, one a line.", dir_okay=False)],
    preferences: Annotated[Path, _file("Customers, one a line.")] = NOTHING,
    suppressions: Annotated[Path, _file("Suppressions and holds, one a line.")] = NOTHING,
    until: Annotated[str | None, typer.Option(help="The last instant (RFC 3339).", show_default="the last one")] = None,
    trace: Annotated[Trace, typer.Option(help="Which verdicts to write.")] = Trace.DECISIVE,
) -> None:
    """Decide recorded events in virtual time. Needs no server; equal input gives equal bytes."""
    from services import simulation

    last = _instant(until)
    try:
        with _progress():
            summary = simulation.run(campaigns, policy, preferences, suppressions, events, last, out, trace.value)
    except simulation.BadInput as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}") from None
    outcomes = ", ".join(f"{count} {word}" for word, count in sorted(summary.outcomes.items()))
    talk(f"{summary.events} events, {summary.decisions} decisions{': ' if outcomes else ''}{outcomes}")
    if summary.duplicates:
        talk(f"{summary.duplicates} events were seen before and did nothing")
    if summary.refused:
        talk(f"{summary.refused} events were refused and did nothing", "yellow")


def _instant(text: str | None) -> Instant | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from None


@contextmanager
def _progress() -> Iterator[None]:
    columns = (TextColumn("deciding"), BarColumn(), TimeElapsedColumn())
    target = console(error=True)
    with Progress(*columns, console=target, transient=True, disable=not target.is_terminal) as progress:
        progress.add_task("deciding", total=None)
        yield
