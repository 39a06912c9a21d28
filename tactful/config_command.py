"""`tactful config`: what this process would be told by its environment and files."""

from typing import Annotated

import typer

from services.kit.runtime.settings import list_setting_origins
from tactful.connection import load_service_settings
from tactful.output import OutputFormat, OutputOption, print_data

app = typer.Typer(no_args_is_help=True, help="Settings.")


@app.callback()
def config() -> None:
    """Settings."""


@app.command("show")
def show_(
    with_origin: Annotated[bool, typer.Option("--origin", help="Also say where each is from.")] = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show every setting; secrets are masked."""
    columns = {"setting": "name", "value": "value"} | ({"origin": "origin"} if with_origin else {})
    found = [
        {field: getattr(item, field) for field in columns.values()}
        for item in list_setting_origins(load_service_settings())
    ]
    print_data(found, output, columns)
