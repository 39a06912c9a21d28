"""`tactful generate`: writes a year of traffic of an imaginary shop, as input for large simulations."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.times import DAY, parse_instant
from tactful.command_errors import CommandError
from tactful.output import print_message, suggest_command
from tactful.progress import show_progress


def generate(
    folder: Annotated[Path, typer.Argument(help="The folder for customers, suppressions and events.", file_okay=False)],
    customers: Annotated[int, typer.Option(help="How many customers.", min=1, max=1_000_000)] = 100_000,
    events: Annotated[int, typer.Option(help="How many events; a few come twice.", min=1)] = 5_000_000,
    days: Annotated[int, typer.Option(help="How many days the events are spread over.", min=1, max=3650)] = 365,
    start: Annotated[str, typer.Option(help="The first midnight (RFC 3339).")] = "2025-01-01T00:00:00Z",
    seed: Annotated[int, typer.Option(help="The seed; another one generates other traffic.")] = 7,
) -> None:
    """Generate customers and events of an imaginary shop. Equal options give equal bytes."""
    from services.simulation import generated_year

    try:
        first_midnight = parse_instant(start)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--start") from None
    if first_midnight % DAY:
        raise typer.BadParameter("must be a midnight in UTC", param_hint="--start")
    try:
        with show_progress("generating", events) as on_progress:
            generated_year.write_traffic(
                folder, generated_year.TrafficSize(customers, events, days, seed, first_midnight), on_progress
            )
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    print_message(f"{customers} customers and {events} events in {folder}")
    suggest_command(
        "tactful simulate --campaigns examples/campaigns --policy examples/policy.yaml"
        f" --preferences {folder / generated_year.CUSTOMERS_FILE}"
        f" --suppressions {folder / generated_year.SUPPRESSIONS_FILE}"
        f" --events {folder / generated_year.EVENTS_FILE} --out decisions.jsonl"
    )
