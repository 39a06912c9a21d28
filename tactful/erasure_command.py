"""`tactful erasure`: how far the erasure of a customer is in each service."""

from typing import Annotated
from urllib.parse import quote

import typer

from tactful.command_errors import CommandError
from tactful.connection import connect
from tactful.output import OutputFormat, OutputOption, print_data

COLUMNS = {"service": "service", "state": "state", "recorded": "recorded", "finished": "finished", "rows": "rows"}
STORE_COLUMNS = {"table": "store", "action": "action", "rows": "rows", "at": "at"}
REMAINS_COLUMNS = {"table": "store", "what remains": "remains"}
PLACE_COLUMNS = {"place": "place", "what is so": "what"}


def erasure(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    proof: Annotated[
        bool, typer.Option("--proof", help="Show each table: what was removed, how much, when, and what remains.")
    ] = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show how far the erasure of a customer is. Exit code 1 while a service has not finished.

    To erase: `tactful events send tactful.customer.erased --customer ID`.
    """
    with connect() as api:
        shown = api.get(f"/v1/erasures/{quote(customer, safe='')}")
    rows = [{"service": name, **each} for name, each in shown["services"].items()]
    print_data(rows if output is OutputFormat.TABLE else shown, output, COLUMNS)
    if proof and output is OutputFormat.TABLE:
        for row in rows:
            typer.echo(f"\n{row['service']}")
            print_data(row["stores"], output, STORE_COLUMNS)
            print_data([each for each in row["stores"] if each["remains"]], output, REMAINS_COLUMNS)
        print_data(shown["elsewhere"], output, PLACE_COLUMNS)
    if not shown["finished"]:
        raise CommandError("the erasure is not finished", hint="look again in a few seconds")
