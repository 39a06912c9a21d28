"""Cuts an uploaded file into parts of whole rows, whatever pieces it arrives in. Pure.

A part is what one transaction applies. At most one row and one part are in memory.
"""

import codecs
from collections.abc import Iterator
from typing import Final

import msgspec

from services.bulk_import.row_formats import MAX_ROW_BYTES, RowFormat, RowLayout, RowReader, read_header
from services.bulk_import.row_formats import refuse_other_encodings as check_encoding

ROWS_A_PART: Final = 500


class PartRow(msgspec.Struct, frozen=True, array_like=True):
    """A row: the number of its line in the file, from 1, and the line; None for one longer than MAX_ROW_BYTES."""

    number: int
    line: bytes | None


class PartSplitter:
    """Takes the bytes of a file in any pieces. `reader` says how its rows are read, once the first line is there."""

    def __init__(self, format: RowFormat, layout: RowLayout) -> None:
        self._layout = layout
        self.reader: RowReader | None = RowReader("jsonl") if format == "jsonl" else None
        self.rows = 0
        """Rows so far, without blank lines and the header."""
        self._line_number = 0
        self._pending = bytearray()
        self._is_cut = False
        self._begun = False
        self._part: list[PartRow] = []

    def feed(self, piece: bytes) -> Iterator[list[PartRow]]:
        """The parts that are whole with this piece. Raises FileRefused."""
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._extend_line(line)
            yield from self._end_line()
        self._extend_line(rest)

    def finish(self) -> Iterator[list[PartRow]]:
        """The parts that are left. Raises FileRefused."""
        yield from self._end_line()
        if self._part:
            yield self._part
            self._part = []

    def _extend_line(self, piece: bytes) -> None:
        """Add to the line that is not over, as far as a row may be long."""
        room = MAX_ROW_BYTES + 2 - len(self._pending)
        self._pending += piece[:room]
        self._is_cut = self._is_cut or len(piece) > room

    def _end_line(self) -> Iterator[list[PartRow]]:
        line, is_cut = bytes(self._pending), self._is_cut
        self._pending.clear()
        self._is_cut = False
        self._line_number += 1
        if not self._begun and line:
            self._begun = True
            check_encoding(line)
            line = line.removeprefix(codecs.BOM_UTF8)
        line = line.removesuffix(b"\r")
        if not line.strip():
            return
        if self.reader is None:
            self.reader = read_header(line, self._layout)
            return
        self.rows += 1
        self._part.append(PartRow(self._line_number, None if is_cut or len(line) > MAX_ROW_BYTES else line))
        if len(self._part) == ROWS_A_PART:
            yield self._part
            self._part = []
