"""`tactful audit`: exports the audit log, and checks that it is what was written."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from schemas.audit_log import AuditHead, AuditRecord, BrokenPlace, ChainCheck, read_head_line, read_line, write_lines
from schemas.times import format_instant
from services.kit.audit_signature import is_signed
from tactful.command_errors import CommandError
from tactful.connection import ApiClient, connect
from tactful.output import Columns, OutputFormat, OutputOption, print_data, print_message

app = typer.Typer(no_args_is_help=True, help="Export the audit log, and find where it was changed.")
PATH = "/v1/audit-log"
_COLUMNS: Columns = {
    "at": "at",
    "name": "name",
    "event": "event",
    "method": "method",
    "route": "route",
    "status": "status",
    "reason": "reason",
    "about": "about",
}
HEAD_LOG_MARK = '"audit_head"'
Parsed = TypeVar("Parsed")

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="An export; without it the log is read from Tactful.")
]
HeadsOption = Annotated[
    Path | None,
    typer.Option(
        "--heads",
        metavar="FILE",
        help="Signed heads that were kept outside the database: the heads file, or log lines. "
        "Without it those that Tactful has are taken, which are cut with the log.",
    ),
]
KeyOption = Annotated[
    str | None, typer.Option("--public-key", metavar="HEX", help="The key that must have signed the heads.")
]


@app.command()
def export() -> None:
    """Print the whole log as JSON lines, oldest first."""
    with connect() as api:
        for line in write_lines(_read_from(api)):
            typer.echo(line)


@app.command("list")
def list_entries(
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="What this person or program asked for.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="What is about this customer, who looked them up.")
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """List who asked for what, when and why: of one person, about one customer, or both."""
    if by is None and customer is None:
        raise CommandError("say whose entries to list: --by NAME, --customer ID, or both; `export` has the whole log")
    wanted = {name: value for name, value in (("by", by), ("customer", customer)) if value is not None}
    with connect() as api:
        found = [msgspec.json.decode(item["body"], type=dict) for item in api.list_all(PATH, **wanted)]
    rows = [{**each, "at": format_instant(each["at"]), "about": ", ".join(each.get("about", ()))} for each in found]
    print_data(rows, output, _COLUMNS, empty="no entry is of this person or about this customer")


@app.command()
def verify(file: FileArgument = None, heads: HeadsOption = None, public_key: KeyOption = None) -> None:
    """Check the whole log, and name the first place where it is not what was written."""
    with ExitStack() as stack:
        api = stack.enter_context(connect()) if file is None else None
        if heads is not None:
            signed = list(_read_heads(heads))
        else:
            signed = [] if api is None else [msgspec.convert(each, AuditHead) for each in api.list_all(f"{PATH}/heads")]
        broken, keys = _check_signatures(signed, public_key)
        check = ChainCheck(signed)
        if broken is None:
            records = _read_lines(file, read_line) if file is not None else _read_from(_require(api))
            broken = check.feed(records) or check.check_end()
    if broken is not None:
        raise CommandError(f"entry {broken.seq} ({broken.code}): {broken.detail}")
    print_message(f"{check.checked} entries are in order")
    _report_heads(signed, check.checked, keys, public_key)


def _require(api: ApiClient | None) -> ApiClient:
    assert api is not None, "without a file there is a connection"
    return api


def _read_from(api: ApiClient) -> Iterator[AuditRecord]:
    for item in api.list_all(PATH):
        yield msgspec.convert(item, AuditRecord)


def _read_lines(path: Path, read: Callable[[str], Parsed]) -> Iterator[Parsed]:
    """The lines of a file, one after the other. Raises CommandError that names the line."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _read_one(path, number, line, read)
    except OSError as error:
        raise CommandError(f"cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not text in UTF-8") from None


def _read_one(path: Path, number: int, line: str, read: Callable[[str], Parsed]) -> Parsed:
    try:
        return read(line)
    except ValueError as error:
        raise CommandError(f"{path}, line {number}: {error}") from None


def _read_heads(path: Path) -> Iterator[AuditHead]:
    """The heads of a file; other lines of a log are passed over."""

    def read_if_head(line: str) -> AuditHead | None:
        return read_head_line(line) if HEAD_LOG_MARK in line or '"signature"' in line else None

    yield from (head for head in _read_lines(path, read_if_head) if head is not None)


def _check_signatures(heads: Iterable[AuditHead], public_key: str | None) -> tuple[BrokenPlace | None, set[str]]:
    keys: set[str] = set()
    for head in heads:
        if not is_signed(head, public_key or head.public_key):
            wanted = "the key that was given" if public_key else "the key that it names"
            return BrokenPlace(head.seq, "bad_signature", f"the head at this entry was not signed by {wanted}"), keys
        keys.add(head.public_key)
    return None, keys


def _report_heads(heads: list[AuditHead], checked: int, keys: set[str], public_key: str | None) -> None:
    if not heads:
        print_message("No signed head was given: an end that was cut off, or a log that was written anew, is not seen.")
        return
    last = max(head.seq for head in heads)
    print_message(f"{len(heads)} signed heads agree with it, the last one at entry {last} of {checked}")
    if public_key is None:
        print_message(f"They are signed by {', '.join(sorted(keys))}: give the key that you trust with --public-key.")
