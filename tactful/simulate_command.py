"""`tactful simulate`: what would be decided, from files alone, with the very functions that production runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.times import Instant, parse_instant
from tactful.command_errors import CommandError
from tactful.output import Format, Output, rows, show, talk
from tactful.progress import progress

if TYPE_CHECKING:
    from services import simulation

NOTHING = Path(os.devnull)
BY = ("campaign", "channel", "reason", "hour")
COLUMNS = {"by": "by", "which": "which", "here": "here", "against": "against", "gained": "gained", "lost": "lost"}


class Trace(StrEnum):
    """Which verdicts a line carries."""

    NONE = "none"
    DECISIVE = "decisive"
    FULL = "full"


def _file(help_: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=help_, exists=True)
    return option


def _new(help_: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=help_, dir_okay=False)
    return option


def simulate(
    campaigns: Annotated[Path, typer.Option(help="A folder of campaigns.", exists=True, file_okay=False)],
    policy: Annotated[Path, _file("The policy.")],
    events: Annotated[Path, _file("CloudEvents, one a line.")],
    out: Annotated[Path, _new("Where the decisions go, one a line.")],
    preferences: Annotated[Path, _file("Customers, one a line.")] = NOTHING,
    suppressions: Annotated[Path, _file("Suppressions and holds, one a line.")] = NOTHING,
    until: Annotated[str | None, typer.Option(help="The last instant (RFC 3339).", show_default="the last one")] = None,
    trace: Annotated[Trace, typer.Option(help="Which verdicts to write.")] = Trace.DECISIVE,
    against: Annotated[Path | None, _file("Another policy to compare with.")] = None,
    against_campaigns: Annotated[
        Path | None, typer.Option(help="Other campaigns to compare with.", exists=True, file_okay=False)
    ] = None,
    picture: Annotated[Path | None, _new("Where a picture of the difference goes (HTML).")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Decide recorded events in virtual time. Needs no server; equal input gives equal bytes.

    With another policy or other campaigns: also tell which sends are gained and lost.
    """
    from services import simulation

    comparing = against is not None or against_campaigns is not None
    if picture is not None and not comparing:
        raise typer.BadParameter("needs --against or --against-campaigns", param_hint="--picture")
    given = simulation.SimulationFiles(campaigns, policy, preferences, suppressions, events, _instant(until))
    with _naming_files(), progress("deciding", events.stat().st_size * (1 + comparing)) as told:
        if not comparing:
            _sum_up(simulation.simulate(given, out, trace.value, told))
            return
        summary, difference = simulation.simulate_and_compare(
            given, out, policy=against, campaigns=against_campaigns, trace=trace.value, on_bytes_read=told
        )
        if picture is not None:
            picture.write_text(simulation.render_difference(difference), "utf-8")
    _sum_up(summary)
    _report(difference, output)


def _sum_up(summary: "simulation.SimulationSummary") -> None:
    outcomes = ", ".join(f"{count} {word}" for word, count in sorted(summary.outcomes.items()))
    talk(f"{summary.events} events, {summary.decisions} decisions{': ' if outcomes else ''}{outcomes}")
    if summary.duplicates:
        talk(f"{summary.duplicates} events were seen before and did nothing")
    if summary.refused:
        talk(f"{summary.refused} events were refused and did nothing", "yellow")


def _report(difference: Mapping[str, Any], output: Format) -> None:
    """What differs: a row for each campaign, channel, reason and hour whose sends do."""
    if output is not Format.TABLE:
        show(difference, output)
        return
    sends, customers = difference["sends"], difference["customers"]
    found = [{"by": "all", "which": "sends", **sends}]
    for by in BY:
        found += [{"by": by, "which": row[by], **row} for row in difference[f"by_{by}"] if row["gained"] or row["lost"]]
    found += [
        {"by": "customer", "which": each["customer"], "here": each["here"], "against": each["against"]}
        for side in ("gained", "lost")
        for each in customers[side]["most"][:5]
    ]
    rows(found, COLUMNS)
    talk(
        f"{sends['gained']} sends gained, {sends['lost']} lost, {sends['moved']} at another time; "
        f"{customers['gained']['count']} customers get more, {customers['lost']['count']} get less"
    )


def _instant(text: str | None) -> Instant | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from None


@contextmanager
def _naming_files() -> Iterator[None]:
    """Files that cannot be read, used or written end the command with their names."""
    from services import simulation

    try:
        yield
    except simulation.BadInput as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or 'cannot write'}: {error.strerror}") from None
