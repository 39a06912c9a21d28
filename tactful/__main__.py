"""Entry point of the command line: `tactful`, `python -m tactful`.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused by policy.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from schemas.text import is_storable
from tactful import (
    adapters_command,
    audit_command,
    campaigns_command,
    config_command,
    consents_command,
    customer_command,
    db_command,
    demo_command,
    dlq_command,
    events_command,
    hold_command,
    import_command,
    keys_command,
    lab_command,
    people_command,
    policy_command,
    receipts_command,
    suppressions_command,
)
from tactful.command_errors import CommandError
from tactful.dev_command import dev
from tactful.doctor_command import doctor
from tactful.erasure_command import erasure
from tactful.generate_command import generate
from tactful.output import print_error
from tactful.simulate_command import simulate
from tactful.status_command import status
from tactful.why_command import replay, why

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
COMMAND_GROUPS = {
    "events": events_command,
    "campaigns": campaigns_command,
    "policy": policy_command,
    "hold": hold_command,
    "suppressions": suppressions_command,
    "import": import_command,
    "adapters": adapters_command,
    "receipts": receipts_command,
    "consents": consents_command,
    "dlq": dlq_command,
    "customer": customer_command,
    "demo": demo_command,
    "audit": audit_command,
    "keys": keys_command,
    "people": people_command,
    "db": db_command,
    "config": config_command,
    "lab": lab_command,
}


def build_cli() -> typer.Typer:
    """Build the command line with all its commands."""
    app = typer.Typer(
        name="tactful",
        help="Decides whether, when and how a message may be sent to a customer, and explains why.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    app.command()(dev)
    app.command()(why)
    app.command()(replay)
    app.command()(erasure)
    app.command()(simulate)
    app.command()(doctor)
    app.command()(status)
    app.command()(generate)
    for name, commands in COMMAND_GROUPS.items():
        app.add_typer(commands.app, name=name)
    return app


def _print_version(wanted: bool) -> None:
    """Print the version, and the commit that an image was built from."""
    from services.kit.observability.build_info import COMMIT_VARIABLE, VERSION

    if wanted:
        commit = os.environ.get(COMMIT_VARIABLE)
        typer.echo(f"tactful {VERSION}{f' ({commit})' if commit else ''}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raise CommandError for bytes on the command line that are not UTF-8: Python passes them on as surrogates."""
    for number, argument in enumerate(arguments, 1):
        if not is_storable(argument):
            raise CommandError(f"argument {number} is not text in UTF-8", exit_code=EXIT_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    if arguments is None:
        _require_utf8_mode()
    _print_utf8()
    try:
        _check_arguments(sys.argv[1:] if arguments is None else arguments)
        build_cli()(args=None if arguments is None else list(arguments), prog_name="tactful")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except CommandError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0
    return 0


def _require_utf8_mode() -> None:
    """Start anew in Python's UTF-8 mode where the locale says something else. Otherwise arguments, names of files and
    the environment would be read as letters that nobody typed.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - no shell, ourselves


def _print_utf8() -> None:
    """Print UTF-8 whatever the locale: what a command prints goes into files and to other programs."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
