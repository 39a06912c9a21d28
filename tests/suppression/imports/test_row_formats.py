"""Files of entries: which are taken, and what each line becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.documents import DocumentError
from services.bulk_import.part_splitter import ROWS_A_PART, PartRow, PartSplitter
from services.bulk_import.row_formats import (
    MAX_ROW_BYTES,
    FileRefused,
    RowFormat,
    plain_cell,
    read_header,
    safe_cell,
    write_row,
)
from services.bulk_import.row_results import refuse_row
from services.suppression.imports.entry_columns import ENTRY_LAYOUT

HEADER = b"address,channel,reason\n"


def split(data: bytes, format: RowFormat = "csv", size: int = 7) -> tuple[PartSplitter, list[PartRow]]:
    """The rows of a file that arrives in pieces of this many bytes."""
    splitter = PartSplitter(format, ENTRY_LAYOUT)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    rows = [row for piece in pieces for part in splitter.feed(piece) for row in part]
    return splitter, rows + [row for part in splitter.finish() for row in part]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_marks_line_ends_and_delimiters_make_no_difference(mark: bytes, end: bytes, delimiter: bytes) -> None:
    lines = [[b"Address ", b"CHANNEL", b"reason"], [b'"ada@example.org"', b"email", b"legal"]]
    data = mark + end.join(delimiter.join(line) for line in lines)
    splitter, rows = split(data)
    assert splitter.reader is not None
    assert [row.number for row in rows] == [2]
    assert [splitter.reader.read_line(row.line or b"", ENTRY_LAYOUT) for row in rows] == [
        {"address": "ada@example.org", "reason": "legal", "scope": {"channel": "email"}}
    ]


def test_a_quoted_field_may_hold_the_delimiter_and_quotes() -> None:
    reader = read_header(b"customer,reason,classes,note", ENTRY_LAYOUT)
    assert reader.read_line(b'"c,1",legal,marketing service,"he said ""no"""', ENTRY_LAYOUT) == {
        "customer": "c,1",
        "reason": "legal",
        "note": 'he said "no"',
        "scope": {"classes": ["marketing", "service"]},
    }


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'"ada@example.org,email,legal', "bad_quotes"),
        (b"ada@example.org,email", "wrong_field_count"),
        (b"ada@example.org,email,legal,more", "wrong_field_count"),
        ("ädä@example.org,email,legal".encode("latin-1"), "wrong_encoding"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: bytes, code: str) -> None:
    with pytest.raises(DocumentError) as refused:
        read_header(HEADER, ENTRY_LAYOUT).read_line(line, ENTRY_LAYOUT)
    assert refused.value.errors[0][1] == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (HEADER.decode().encode("utf-16"), "wrong_encoding"),
        (HEADER.decode().encode("utf-16-le"), "wrong_encoding"),
        (HEADER.decode().encode("utf-32"), "wrong_encoding"),
        (b"addr\xe9ss,reason\n", "wrong_encoding"),
        (b"address,reason\rada@example.org,legal\r", "line_ends"),
        (b"ada@example.org\nbob@example.org\n", "unknown_column"),
        (b"address,reasons\n", "unknown_column"),
        (b"address,reason,reason\n", "column_twice"),
        (b"channel,reason\n", "missing_column"),
        (b"address,channel\n", "missing_column"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_without_a_word_of_it(data: bytes, code: str) -> None:
    with pytest.raises(FileRefused) as refused:
        split(data)
    assert refused.value.code == code
    assert "ada" not in str(refused.value).lower()


def test_a_huge_line_is_cut_and_those_after_it_are_whole() -> None:
    huge = b"a" * (MAX_ROW_BYTES + 1)
    _, rows = split(HEADER + huge + b"\nb,email,legal\n\n" + huge[:-1] + b"\r\n", size=1000)
    assert [(row.number, row.line is None) for row in rows] == [(2, True), (3, False), (5, False)]


def test_a_part_has_a_bound() -> None:
    splitter = PartSplitter("jsonl", ENTRY_LAYOUT)
    parts = [*splitter.feed(b"{}\n" * (2 * ROWS_A_PART + 1)), *splitter.finish()]
    assert [len(part) for part in parts] == [ROWS_A_PART, ROWS_A_PART, 1]
    assert (splitter.rows, parts[2][0].number) == (2 * ROWS_A_PART + 1, 2 * ROWS_A_PART + 1)


@given(st.lists(st.sampled_from([b"{}", b"", b" ", b'{"a": 1}\r', b"x" * 40])), st.integers(1, 50))
def test_pieces_make_no_difference(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    assert split(data, "jsonl", size)[1] == split(data, "jsonl", len(data) or 1)[1]


@given(st.text())
def test_a_cell_is_read_as_it_was_written_and_is_no_formula(text: str) -> None:
    cell = safe_cell(text)
    assert plain_cell(cell) == text or not text.startswith("'")
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.text("'=+-@a", max_size=6))
def test_apostrophes_come_back_too(text: str) -> None:
    assert plain_cell(safe_cell(text)) == text


def test_an_exported_row_is_safe_for_spreadsheets() -> None:
    values = {"id": "=cmd()", "classes": ["a", "b"], "note": "+1,2"}
    assert write_row("csv", ("id", "classes", "note", "at"), values) == b"'=cmd(),a b,\"'+1,2\",\r\n"
    assert write_row("jsonl", ("id", "at"), values) == b'{"id":"=cmd()"}\n'


SECRET = "zq-secret@example.org"


@pytest.mark.parametrize(
    ("plain", "error", "pointer"),
    [
        ({"reason": SECRET}, ("/reason", "unknown", f"`{SECRET}` is no reason"), "/reason"),
        ({SECRET: 1}, (f"/{SECRET}", "unknown_field", f"no field `{SECRET}`"), ""),
        ({"scope": {SECRET: 1}}, (f"/scope/{SECRET}", "unknown_field", f"no field `{SECRET}`"), "/scope"),
        ({"at": [SECRET]}, ("/at", "bad", f"{SECRET[:12]}... is no time {SECRET}"), "/at"),
    ],
)
def test_a_result_repeats_nothing_of_its_row(plain: object, error: tuple[str, str, str], pointer: str) -> None:
    result = refuse_row(7, plain, DocumentError([error]), ENTRY_LAYOUT)
    assert (result.row, result.outcome, result.pointer) == (7, "refused", pointer)
    assert SECRET[:9] not in repr(result)
    assert result.detail
