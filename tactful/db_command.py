"""`tactful db`: the schema of one service's database, and the keys of its sealed columns."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from services.kit.db.refusal import explain_refusal
from services.kit.errors import Permanent, SealedValueUnreadable
from services.kit.runtime.settings import SettingsError
from tactful.command_errors import CommandError
from tactful.connection import load_service_settings
from tactful.output import print_message

if TYPE_CHECKING:
    from services.kit.db.column_rotation import RotationReport, SealedColumn

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True, help="Upgrade and check the schema of a service's database, and seal its columns."
)


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


@app.command()
def rotate(service: ServiceOption, url: UrlOption = None) -> None:
    """Seal the columns of personal data under the first key of TACTFUL_COLUMN_KEYS: plain values, and those under other
    keys. Safe to cut off, to repeat, and to run while the service works. Exit code 1 if other values remain.
    """
    from services.kit.db.column_rotation import declared_columns

    columns = declared_columns(f"services.{service}")
    if not columns:
        raise CommandError(f"{service} has no sealed columns: docs/privacy.md says which service has")
    report = _run_migration(lambda database_url: _rotate(database_url, columns), url)
    print_message(f"{service}: {report.rewritten} values sealed anew")
    if report.remaining:
        kinds = ", ".join(
            f"{count} under the key {key_id}" if key_id else f"{count} plain"
            for key_id, count in sorted(report.remaining.items())
        )
        raise CommandError(
            f"{service}: values remain that the first key has not sealed: {kinds}",
            hint="give all processes the new TACTFUL_COLUMN_KEYS, restart them, and repeat this",
        )
    print_message(f"{service}: no value is plain or under another key than the first; former keys can be removed")


async def _rotate(url: str, columns: "Sequence[SealedColumn]") -> "RotationReport":
    from services.kit.db.column_rotation import rotate_columns
    from services.kit.db.database import Database

    database = Database.open(url, pool=1)
    try:
        database.columns = load_service_settings().column_cipher()
        if not database.columns.first:
            raise CommandError("TACTFUL_COLUMN_KEYS is not set", hint="see deploy/.env.example")
        return await rotate_columns(database, columns)
    finally:
        await database.close()


def _run_migration(operation: Callable[[str], Coroutine[Any, Any, T]], url: str | None) -> T:
    try:
        address = url or load_service_settings().require("database.url")
    except SettingsError as error:
        raise CommandError(str(error)) from None
    try:
        return asyncio.run(operation(address))
    except CommandError:
        raise
    except (Permanent, SealedValueUnreadable) as error:
        raise CommandError(str(error)) from None
    except Exception as error:
        raise CommandError(explain_refusal(error, address)) from None
