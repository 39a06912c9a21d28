"""`tactful simulate`: decides recorded events from files, with the functions that production runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.address_kinds import REGIONS
from schemas.times import Instant, parse_duration, parse_instant
from tactful.command_errors import CommandError
from tactful.output import OutputFormat, OutputOption, print_data, print_message, print_table
from tactful.progress import show_progress

if TYPE_CHECKING:
    from services import simulation

EMPTY_FILE = Path(os.devnull)
NAMED_EVENTS = 20
"""Of so many events the summary names what was not applied."""
GROUPINGS = ("campaign", "channel", "reason", "hour")
COUNT_COLUMNS = {"campaign": "campaign", "outcome": "outcome", "reason": "reason", "decisions": "decisions"}
COLUMNS = {"by": "by", "which": "which", "here": "here", "against": "against", "gained": "gained", "lost": "lost"}


class TraceLevel(StrEnum):
    """Which verdicts are written with a decision."""

    NONE = "none"
    DECISIVE = "decisive"
    FULL = "full"


def _input_file_option(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=help_text, exists=True)
    return option


def _output_file_option(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=help_text, dir_okay=False)
    return option


def simulate(
    campaigns: Annotated[Path, typer.Option(help="A folder with campaigns.", exists=True, file_okay=False)],
    policy: Annotated[Path, _input_file_option("The policy.")],
    events: Annotated[Path, _input_file_option("CloudEvents, one a line.")],
    out: Annotated[Path, _output_file_option("The file for the decisions, one a line.")],
    preferences: Annotated[Path, _input_file_option("Customers, one a line.")] = EMPTY_FILE,
    suppressions: Annotated[Path, _input_file_option("Suppressions and holds, one a line.")] = EMPTY_FILE,
    until: Annotated[str | None, typer.Option(help="The last instant (RFC 3339).", show_default="the last one")] = None,
    region: Annotated[
        str | None, typer.Option(help="The country of numbers in national form, where the customer has none.")
    ] = None,
    confirm_after: Annotated[
        str, typer.Option(help="When a handover is confirmed, for the strategy fallback: a duration or never.")
    ] = "0s",
    trace: Annotated[TraceLevel, typer.Option(help="Which verdicts to write.")] = TraceLevel.DECISIVE,
    against: Annotated[Path | None, _input_file_option("Another policy to compare with.")] = None,
    against_campaigns: Annotated[
        Path | None, typer.Option(help="A folder with other campaigns to compare with.", exists=True, file_okay=False)
    ] = None,
    picture: Annotated[Path | None, _output_file_option("A file for the difference as charts (HTML).")] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Decide recorded events in virtual time. Needs no server; equal input gives equal bytes.

    With another policy or other campaigns, also shows which messages would be gained and lost.
    """
    from services import simulation

    is_comparison = against is not None or against_campaigns is not None
    if picture is not None and not is_comparison:
        raise typer.BadParameter("needs --against or --against-campaigns", param_hint="--picture")
    files = simulation.SimulationFiles(
        *(campaigns, policy, preferences, suppressions, events, _parse_until(until), _parse_region(region)),
        _parse_confirmation(confirm_after),
    )
    processes = simulation.useful_processes(events)
    with _report_file_errors(), show_progress("deciding", events.stat().st_size * (1 + is_comparison)) as on_progress:
        if not is_comparison:
            summary = simulation.simulate(files, out, trace.value, on_progress, processes)
            _print_counts(summary, output)
            _print_summary(summary)
            print_message(f"Each decision, with what decided it, is a line of {out}", "dim")
            return
        summary, difference = simulation.simulate_and_compare(
            files,
            out,
            policy=against,
            campaigns=against_campaigns,
            trace=trace.value,
            on_bytes_read=on_progress,
            processes=processes,
        )
        if picture is not None:
            picture.write_text(simulation.render_difference(difference), "utf-8")
    _print_summary(summary)
    _print_difference(difference, output)


def _print_counts(summary: "simulation.SimulationSummary", output: OutputFormat) -> None:
    """Print how many decisions each campaign got, by outcome and reason: the most frequent first."""
    ordered = sorted(summary.counts.items(), key=lambda item: (item[0][0], -item[1], item[0]))
    rows = [
        {"campaign": campaign, "outcome": outcome, "reason": reason, "decisions": count}
        for (campaign, outcome, reason), count in ordered
    ]
    if output is OutputFormat.TABLE:
        if rows:
            print_table(rows, COUNT_COLUMNS)
        return
    read = {name: getattr(summary, name) for name in ("events", "duplicates", "refused", "decisions", "outcomes")}
    problems = [
        {"pointer": pointer, "code": code, "detail": detail, "source": event.source, "event_id": event.id}
        for event in summary.problems
        for pointer, code, detail in event.problems
    ]
    print_data({**read, "counts": rows, "problems": problems}, output)


def _print_summary(summary: "simulation.SimulationSummary") -> None:
    outcomes = ", ".join(f"{count} {word}" for word, count in sorted(summary.outcomes.items()))
    print_message(f"{summary.events} events, {summary.decisions} decisions{': ' if outcomes else ''}{outcomes}")
    if summary.duplicates:
        print_message(f"{summary.duplicates} events were duplicates and had no effect")
    if summary.unusable_suppressions:
        count = summary.unusable_suppressions
        print_message(f"{count} do-not-contact entries name what is no address, and cover nobody", "yellow")
    if summary.refused:
        subject = "1 event has" if summary.refused == 1 else f"{summary.refused} events have"
        print_message(f"{subject} parts that are wrong and were not applied:", "yellow")
    for event in summary.problems[:NAMED_EVENTS]:
        parts = "; ".join(f"{pointer or '/'}: {detail}" for pointer, _, detail in event.problems)
        print_message(f"  {event.id} from {event.source} ({event.type}): {parts}", "yellow")
    if summary.refused > NAMED_EVENTS:
        print_message(f"  and {summary.refused - NAMED_EVENTS} more", "yellow")


def _print_difference(difference: Mapping[str, Any], output: OutputFormat) -> None:
    """Print the difference: a row for each campaign, channel, reason and hour whose sends differ."""
    if output is not OutputFormat.TABLE:
        print_data(difference, output)
        return
    sends, customers = difference["sends"], difference["customers"]
    rows = [{"by": "all", "which": "sends", **sends}]
    for by in GROUPINGS:
        rows += [{"by": by, "which": row[by], **row} for row in difference[f"by_{by}"] if row["gained"] or row["lost"]]
    rows += [
        {"by": "customer", "which": each["customer"], "here": each["here"], "against": each["against"]}
        for side in ("gained", "lost")
        for each in customers[side]["most"][:5]
    ]
    print_table(rows, COLUMNS)
    print_message(
        f"{sends['gained']} sends gained, {sends['lost']} lost, {sends['moved']} at another time; "
        f"{customers['gained']['count']} customers get more, {customers['lost']['count']} get fewer"
    )


def _parse_until(text: str | None) -> Instant | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from None


def _parse_region(text: str | None) -> str | None:
    if text is None or text.upper() in REGIONS:
        return text and text.upper()
    raise typer.BadParameter("not a country by its two letters of ISO 3166, such as DE", param_hint="--region")


def _parse_confirmation(text: str) -> int | None:
    """Microseconds from a handover to its confirmation; None for never."""
    if text in ("never", "0s"):
        return None if text == "never" else 0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, or never", param_hint="--confirm-after") from None


@contextmanager
def _report_file_errors() -> Iterator[None]:
    """Turn errors of files that cannot be read, used or written into CommandError with their names."""
    from services import simulation

    try:
        yield
    except simulation.BadInput as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or 'cannot write'}: {error.strerror}") from None
