"""`tactful db`: the schema of one service's database."""

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

from services.kit.db.refusal import explain_refusal
from services.kit.errors import Permanent
from services.kit.runtime.settings import SettingsError
from tactful.command_errors import CommandError
from tactful.connection import load_service_settings
from tactful.output import print_message

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, help="Upgrade and check the schema of a service's database.")


class DatabaseService(StrEnum):
    """The services; each has a database of its own."""

    ORCHESTRATOR = "orchestrator"
    PREFERENCE = "preference"
    SUPPRESSION = "suppression"


ServiceOption = Annotated[DatabaseService, typer.Option("--service", help="The service that owns the database.")]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="The address of the database.", show_default="TACTFUL_DATABASE__URL")
]


@app.command()
def upgrade(service: ServiceOption, url: UrlOption = None) -> None:
    """Upgrade the schema to the newest revision. All or nothing; safe to repeat and to run concurrently."""
    from services.kit.db import migrate

    _run_migration(lambda database_url: migrate.upgrade_schema(database_url, f"services.{service}"), url)
    print_message(f"{service}: the schema is up to date")


@app.command()
def check(service: ServiceOption, url: UrlOption = None) -> None:
    """Check whether the schema is up to date. Exit code 1 if it is not."""
    from services.kit.db import migrate

    if not _run_migration(lambda database_url: migrate.is_up_to_date(database_url, f"services.{service}"), url):
        raise CommandError(f"{service}: the schema is not up to date", hint=f"tactful db upgrade --service {service}")
    print_message(f"{service}: the schema is up to date")


def _run_migration(operation: Callable[[str], Coroutine[Any, Any, T]], url: str | None) -> T:
    try:
        address = url or load_service_settings().require("database.url")
    except SettingsError as error:
        raise CommandError(str(error)) from None
    try:
        return asyncio.run(operation(address))
    except Permanent as error:
        raise CommandError(str(error)) from None
    except Exception as error:
        raise CommandError(explain_refusal(error, address)) from None
