"""Data on stdout, as a table, JSON or YAML; talk on stderr. Colours only on a terminal, and never with NO_COLOR."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tactful.command_errors import CommandError

GOOD, WAITING, BAD = "green", "yellow", "red"
STYLES: Mapping[str, str] = {
    **dict.fromkeys(("send", "allow", "active", "accepted", "green"), GOOD),
    **dict.fromkeys(("defer", "paused", "shadow", "submitted", "duplicate", "amber"), WAITING),
    **dict.fromkeys(("suppress", "fail", "deny", "invalid", "stopped", "red"), BAD),
}
"""The colour of a word, wherever it appears alone in a cell."""
FRACTION = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d{6}(?=Z)")
"""What a table leaves out of an instant."""


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print data.", show_default=True)]
Columns = Mapping[str, str]
"""Heading -> field."""
UNBROKEN = frozenset({"id", "class", "outcome", "verdict", "state", "check"})
"""Columns of short words, which stay in one piece."""


def console(error: bool = False) -> Console:
    """Where to print: data, or with `error` talk."""
    file = sys.stderr if error else sys.stdout
    return Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=not error)


def talk(text: str, style: str | None = None) -> None:
    """Tell people something."""
    console(error=True).print(Text(text, style=style or ""), soft_wrap=True)


def following(command: str) -> None:
    """Name the one command that people want next."""
    talk(f"Next: {command}", "dim")


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal that something goes on whose end is not known."""
    target = console(error=True)
    if not target.is_terminal:
        yield
        return
    with target.status(text):
        yield


def complain(error: CommandError) -> None:
    """Print what went wrong, where, and how to mend it."""
    talk(f"error: {error.what}", BAD)
    for line in error.where:
        talk(f"  {line}")
    if error.how:
        talk(f"  mend: {error.how}")


def show(data: Any, form: Format, columns: Columns | None = None) -> None:
    """Print data. A list with `columns` may be a table, one object a list of its fields."""
    match form:
        case Format.JSON:
            print(json.dumps(data, indent=2, ensure_ascii=False))
        case Format.YAML:
            print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100), end="")
        case Format.TABLE if isinstance(data, Sequence) and columns is not None:
            rows(data, columns)
        case Format.TABLE:
            _fields(data)


def rows(items: Sequence[Mapping[str, Any]], columns: Columns) -> None:
    """A table that fits the terminal, or 80 columns; long words are folded, nothing is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in columns:
        table.add_column(heading, overflow="fold", no_wrap=heading in UNBROKEN)
    for item in items:
        table.add_row(*(cell(item.get(field)) for field in columns.values()))
    console().print(table, soft_wrap=False)


def cell(value: Any) -> Text:
    """A value in a table."""
    text = "-" if value is None or value == "" else _short(value)
    return Text(text, style=STYLES.get(text, ""))


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return FRACTION.sub("", value)
    return json.dumps(value, ensure_ascii=False)


def _fields(data: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in data.items():
        table.add_row(name, cell(value))
    console().print(table, soft_wrap=False)
