"""The formats of imported files, CSV and JSON lines: from a line to plain values, and back. Pure.

A row is one line. A quoted field of CSV may hold the delimiter and quotes, but no line break: so each line of a file
has a result of its own, under the number that an editor shows for it.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from schemas.documents import DocumentError, did_you_mean, load_json

RowFormat = Literal["csv", "jsonl"]
DELIMITERS: Final = (",", ";", "\t", "|")
MAX_ROW_BYTES: Final = 16 * 1024
INSTANT_WORDS: Final = "not an instant in RFC 3339, such as 2026-03-02T10:00:00Z"
"""What is said of a place that must have an instant, in the general words of layouts."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""With one of these a cell begins that spreadsheets take for a formula."""
_LIST_SEPARATORS: Final = re.compile(r"[\s,|]+")
_OTHER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


class RowLayout(NamedTuple):
    """What the rows of a kind of import may hold.

    `columns`: what the header of a CSV file may name; `prefix`: with this begin names of which the rest is free, and
    keeps its case. `required`: of each group, the header names one at least. `to_document` makes the plain values of a
    row of its cells. `pointers`: places of a document that results name as they are; any other may hold a name that
    the row made up. `fields`: the fields there are, in words; `general_words`: what is said of a place where the words
    of a problem would repeat a value. `free_names`: places below which names are whoever writes the row's, as traits'.
    """

    columns: tuple[str, ...]
    required: tuple[tuple[str, ...], ...]
    to_document: Callable[[Mapping[str, str]], dict[str, Any]]
    pointers: frozenset[str]
    fields: str
    general_words: Mapping[str, str]
    prefix: str | None = None
    free_names: frozenset[str] = frozenset()

    def read_name(self, cell: str) -> str:
        """The name of a column, as rows are read with it: in small letters, but for what follows the prefix."""
        name = cell.strip()
        if self.prefix is not None and name.lower().startswith(self.prefix) and len(name) > len(self.prefix):
            return self.prefix + name[len(self.prefix) :]
        return name.lower()

    def knows(self, name: str) -> bool:
        """Whether the header may have this name."""
        return name in self.columns or (
            self.prefix is not None and name.startswith(self.prefix) and len(name) > len(self.prefix)
        )


class FileRefused(ValueError):
    """A file that cannot be taken at all: a code, and words that say how to mend it, without a value of the file."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class RowReader(NamedTuple):
    """How the rows of a file are read. `delimiter` and `header` are those of CSV."""

    format: RowFormat
    delimiter: str | None = None
    header: tuple[str, ...] = ()

    def read_line(self, line: bytes, layout: RowLayout) -> object:
        """The plain values of a row. Raises DocumentError."""
        if self.format == "jsonl":
            return load_json(line)
        return layout.to_document(self._named_cells(line))

    def _named_cells(self, line: bytes) -> Mapping[str, str]:
        cells = _split_cells(_decode(line), self.delimiter or ",")
        if len(cells) != len(self.header):
            detail = f"the row has {len(cells)} fields, and the header {len(self.header)}; quote fields that hold the "
            raise DocumentError([("", "wrong_field_count", detail + "delimiter, and leave no line break in a field")])
        return {name: cell for name, raw in zip(self.header, cells, strict=True) if (cell := plain_cell(raw).strip())}


def refuse_other_encodings(start: bytes) -> None:
    """Raise FileRefused for the first bytes of a file in UTF-16 or UTF-32."""
    if start.startswith(_OTHER_MARKS) or b"\0" in start[:200]:
        raise FileRefused("wrong_encoding", "the file is in UTF-16 or UTF-32, or is no text: save it as UTF-8")


def read_header(line: bytes, layout: RowLayout) -> RowReader:
    """How to read a CSV file with this first line. Raises FileRefused."""
    try:
        text = _decode(line.removeprefix(codecs.BOM_UTF8))
    except DocumentError:
        raise FileRefused("wrong_encoding", "the first line is not UTF-8: save the file as UTF-8") from None
    if "\r" in text:
        raise FileRefused(
            "line_ends", "the lines end with CR alone: save the file with LF or CR LF at the end of lines"
        )
    for delimiter in DELIMITERS:
        try:
            names = [layout.read_name(cell) for cell in _split_cells(text, delimiter)]
        except DocumentError:
            continue
        if all(map(layout.knows, names)):
            return RowReader("csv", delimiter, _check_names(names, layout))
    names = [layout.read_name(cell) for cell in re.split(r"[,;\t|]", text.replace('"', ""))]
    unknown = next((name for name in names if not layout.knows(name)), "")
    guess = did_you_mean(unknown, layout.columns)
    known = ", ".join(layout.columns) + (f", {layout.prefix}NAME" if layout.prefix else "")
    detail = f"the first line must name the columns, of {known}; one of its names is none of these{guess}"
    raise FileRefused("unknown_column", detail)


def _check_names(names: Sequence[str], layout: RowLayout) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise FileRefused("column_twice", "the first line names a column twice: keep one of the two")
    for group in layout.required:
        if not set(group) & set(names):
            wanted, more = " or ".join(f"`{name}`" for name in group), ": add one of them" if len(group) > 1 else ""
            raise FileRefused("missing_column", f"the first line must name {wanted}{more}")
    return tuple(names)


def _split_cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        detail = "a quote is not closed in its line, or stands within a field: double the quotes within a quoted field"
        raise DocumentError([("", "bad_quotes", f"{detail}, and leave no line break in it")]) from None


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise DocumentError([("", "wrong_encoding", "the row is not UTF-8: save the file as UTF-8")]) from None


def split_list(cell: str) -> list[str]:
    """The words of a cell that holds several."""
    return [each for each in _LIST_SEPARATORS.split(cell) if each]


def safe_cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: with an apostrophe before it, where it needs one."""
    return f"'{text}" if text.lstrip("'")[:1] in _FORMULA_STARTS and text.lstrip("'") else text


def plain_cell(cell: str) -> str:
    """The text that `safe_cell` was given."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA_STARTS) else cell


def write_row(format: RowFormat, names: Sequence[str], values: Mapping[str, Any]) -> bytes:
    """A line of an exported file, with CR LF in CSV, as RFC 4180 has it. JSON leaves out what is None."""
    if format == "jsonl":
        return msgspec.json.encode({name: values[name] for name in names if values.get(name) is not None}) + b"\n"
    target = io.StringIO()
    cells = ["" if values.get(name) is None else safe_cell(_as_text(values[name])) for name in names]
    csv.writer(target, lineterminator="\r\n").writerow(cells)
    return target.getvalue().encode()


def _as_text(value: Any) -> str:
    return " ".join(value) if isinstance(value, list | tuple) else str(value)
