"""`tactful dev`: all services in one process, on files."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.times import Instant, parse_instant


def dev(
    data_dir: Annotated[
        Path | None, typer.Option(help="The directory of its files.", show_default="TACTFUL_DATA_DIR or tactful-data")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port to listen on; 0: any free port.", min=0, max=65_535, show_default="8000"),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Start with the demo shop.")] = True,
    clock: Annotated[str | None, typer.Option(help="Stop the clock at this instant (RFC 3339).")] = None,
) -> None:
    """Run all services in one process. Uses files instead of Kafka and PostgreSQL. Not for production."""
    from services.development import dev_server

    at = _parse_clock(clock)
    raise typer.Exit(dev_server.run_dev_server(data_dir, port, demo, at))


def _parse_clock(text: str | None) -> Instant | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--clock") from None
