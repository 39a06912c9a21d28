"""Prints data on stdout as a table, JSON or YAML, and messages on stderr.

Colours are used only on a terminal, and never when NO_COLOR is set.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tactful.command_errors import CommandError

GOOD_STYLE, WARNING_STYLE, BAD_STYLE = "green", "yellow", "red"
WORD_STYLES: Mapping[str, str] = {
    **dict.fromkeys(("send", "allow", "active", "accepted", "green"), GOOD_STYLE),
    **dict.fromkeys(("defer", "paused", "shadow", "submitted", "duplicate", "amber"), WARNING_STYLE),
    **dict.fromkeys(("suppress", "fail", "deny", "invalid", "stopped", "red"), BAD_STYLE),
}
"""The colour of a word that fills a cell."""
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""All but tabs and line breaks; marks of text direction among them."""
FRACTIONAL_SECONDS = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d{6}(?=Z)")
"""The part of an instant that tables leave out."""
_SHOWN_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


class OutputFormat(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print data.", show_default=True)]
Columns = Mapping[str, str]
"""Heading -> field."""
NO_WRAP_COLUMNS = frozenset({"id", "class", "mode", "outcome", "verdict", "state", "check"})
"""Columns of short words, which are not wrapped."""


class _PlainConsole(Console):
    """A console that shows control characters of data, such as `\\x1b`, and lets none of them reach the terminal, where
    a customer's id or a reason could colour, hide or write over what stands there.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_show_controls(segment.text))


def _show_controls(text: str) -> str:
    return _CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def create_console(error: bool = False) -> Console:
    """A console for data on stdout, or with `error` for messages on stderr."""
    file = sys.stderr if error else sys.stdout
    return _PlainConsole(file=file, highlight=False, markup=False, emoji=False, soft_wrap=not error)


def print_message(text: str, style: str | None = None) -> None:
    """Print a message for people."""
    create_console(error=True).print(Text(text, style=style or ""), soft_wrap=True)


def suggest_command(command: str) -> None:
    """Suggest the next command."""
    print_message(f"Next: {command}", "dim")


@contextmanager
def show_spinner(text: str) -> Iterator[None]:
    """Show a spinner on a terminal while something of unknown length runs."""
    target = create_console(error=True)
    if not target.is_terminal:
        yield
        return
    with target.status(text):
        yield


def print_error(error: CommandError) -> None:
    """Print what went wrong, where, and how to fix it."""
    print_message(f"error: {error.message}", BAD_STYLE)
    for line in error.details:
        print_message(f"  {line}")
    if error.hint:
        print_message(f"  fix: {error.hint}")


def print_data(
    data: Any, output_format: OutputFormat, columns: Columns | None = None, *, empty: str = "there is nothing to show"
) -> None:
    """Print data. As a table, a list needs `columns`; a single object is printed as a list of its fields.

    `empty`: what is said, as a message, in place of a table without rows.
    """
    match output_format:
        case OutputFormat.JSON:
            print(json.dumps(data, indent=2, ensure_ascii=False))
        case OutputFormat.YAML:
            print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100), end="")
        case OutputFormat.TABLE if isinstance(data, Sequence) and columns is not None and not data:
            print_message(empty)
        case OutputFormat.TABLE if isinstance(data, Sequence) and columns is not None:
            print_table(data, columns)
        case OutputFormat.TABLE:
            _print_fields(data)


def print_table(items: Sequence[Mapping[str, Any]], columns: Columns) -> None:
    """Print a table as wide as the terminal, or 80 columns. Long words are folded, but times; nothing is cut off."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    rows = [[format_cell(item.get(field)) for field in columns.values()] for item in items]
    for heading, cells in zip(columns, zip(*rows, strict=True), strict=True):
        instants = (len(found) for cell in cells for found in _SHOWN_INSTANT.findall(cell.plain))
        no_wrap = heading in NO_WRAP_COLUMNS or all(cell.plain == "-" or _is_instant(cell) for cell in cells)
        table.add_column(heading, overflow="fold", no_wrap=no_wrap, min_width=max(instants, default=None))
    for row in rows:
        table.add_row(*row)
    create_console().print(table, soft_wrap=False)


def _is_instant(cell: Text) -> bool:
    return _SHOWN_INSTANT.fullmatch(cell.plain) is not None


def format_cell(value: Any) -> Text:
    """Format a value for a table."""
    text = "-" if value is None or value == "" else _format_value(value)
    return Text(_show_controls(text), style=WORD_STYLES.get(text, ""))  # before the width of a column is measured


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return FRACTIONAL_SECONDS.sub("", value)
    return json.dumps(value, ensure_ascii=False)


def _print_fields(data: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in data.items():
        table.add_row(name, format_cell(value))
    create_console().print(table, soft_wrap=False)
