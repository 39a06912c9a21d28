"""`tactful generate`: a year of an imaginary shop, for simulations that need many events."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.times import DAY, parse_instant
from tactful.command_errors import CommandError
from tactful.output import following, talk
from tactful.progress import progress


def generate(
    folder: Annotated[Path, typer.Argument(help="Where customers, suppressions and events go.", file_okay=False)],
    customers: Annotated[int, typer.Option(help="How many customers.", min=1, max=1_000_000)] = 100_000,
    events: Annotated[int, typer.Option(help="How many events, but for a few that come twice.", min=1)] = 5_000_000,
    days: Annotated[int, typer.Option(help="How many days they are spread over.", min=1, max=3650)] = 365,
    start: Annotated[str, typer.Option(help="The first midnight (RFC 3339).")] = "2025-01-01T00:00:00Z",
    seed: Annotated[int, typer.Option(help="Another seed makes another year.")] = 7,
) -> None:
    """Make the customers and events of an imaginary shop. Equal options give equal bytes."""
    from services.simulation import generated_year as shop

    try:
        first = parse_instant(start)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--start") from None
    if first % DAY:
        raise typer.BadParameter("must be a midnight in UTC", param_hint="--start")
    try:
        with progress("generating", events) as told:
            shop.write_traffic(folder, shop.TrafficSize(customers, events, days, seed, first), told)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    talk(f"{customers} customers and {events} events in {folder}")
    following(
        "tactful simulate --campaigns examples/campaigns --policy examples/policy.yaml"
        f" --preferences {folder / shop.CUSTOMERS_FILE} --suppressions {folder / shop.SUPPRESSIONS_FILE}"
        f" --events {folder / shop.EVENTS_FILE} --out decisions.jsonl"
    )
