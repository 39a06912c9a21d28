"""`tactful config`: the settings that a process started here would have, and where each comes from."""

from typing import Annotated

import typer

from services.kit.runtime.settings import list_setting_origins
from tactful.connection import load_service_settings
from tactful.output import OutputFormat, OutputOption, print_data

app = typer.Typer(no_args_is_help=True, help="Show the settings, and where they come from.")


@app.callback()
def config() -> None:
    """Settings."""


@app.command("show")
def show_(
    with_origin: Annotated[bool, typer.Option("--origin", help="Also show where each value comes from.")] = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show every setting; secrets are masked."""
    columns = {"setting": "name", "value": "value"} | ({"origin": "origin"} if with_origin else {})
    rows = [
        {field: getattr(item, field) for field in columns.values()}
        for item in list_setting_origins(load_service_settings())
    ]
    print_data(rows, output, columns)
