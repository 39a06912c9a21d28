"""Sets a letter: which words stand where on which page. Pure, and the same for the page count and for the PDF."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from services.orchestrator.delivery.channels.letter.fonts import POINT, printable, width_of
from services.orchestrator.delivery.channels.letter.formats import FORMATS, Area, LetterFormat
from services.orchestrator.delivery.channels.letter.markup import Block, Run, read_body
from services.template import RenderError

BODY_SIZE: Final = 10.5
SMALL_SIZE: Final = 9.0
RETURN_SIZES: Final = (7.0, 6.0, 5.0)
ADDRESS_SIZES: Final = (10.0, 9.0, 8.0, 7.0)
US_ADDRESS_SIZE: Final = 9.8
LEADING: Final = 1.35
"""Height of a line in sizes of its font."""
PARAGRAPH_GAP: Final = 2.2
INDENT: Final = 6.0
MAX_PAGES: Final = 4
"""Two sheets printed on both sides, or four: with its envelope a letter of the second weight at most."""
_BREAKS: Final = " \t"


class PlacedText(NamedTuple):
    """Words on a page. `x`, `y`: where their baseline begins, in millimetres; `size` in points."""

    x: float
    y: float
    text: str
    size: float
    bold: bool = False


class SetPage(NamedTuple):
    """One page."""

    texts: tuple[PlacedText, ...]


class AddressDoesNotFit(ValueError):
    """The address has more or longer lines than the window of the format shows, or letters that the font lacks."""


class _Line(NamedTuple):
    pieces: tuple[Run, ...]
    indent: float
    marker: str
    gap: float
    """Above it."""


def set_letter(content: Mapping[str, str], address: Sequence[str] = ()) -> tuple[SetPage, ...]:
    """The pages of a rendered letter. Raises RenderError, and AddressDoesNotFit."""
    sheet = FORMATS[content["format"]]
    head = [*_set_letterhead(sheet, content), *_set_reference(sheet, content), *_set_address(sheet, address)]
    lines = [*_subject_lines(sheet, content), *_body_lines(sheet, read_body("html", content["html"]))]
    pages = list(_fill_pages(sheet, lines))
    if len(pages) > MAX_PAGES:
        detail = f"the letter has {len(pages)} pages, at most {MAX_PAGES} are allowed: shorten it"
        raise RenderError("too_many_pages", detail, field="html")
    pages[0] = [*head, *pages[0]]
    if len(pages) > 1:
        for number, page in enumerate(pages, 1):
            mark = f"{number}/{len(pages)}"
            x = sheet.text.right - width_of(mark, False, SMALL_SIZE)
            page.append(PlacedText(x, sheet.height - 12, mark, SMALL_SIZE))
    return tuple(SetPage(tuple(page)) for page in pages)


def lines_of(text: str) -> list[str]:
    """The lines of a text that are not empty."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _set_letterhead(sheet: LetterFormat, content: Mapping[str, str]) -> Iterator[PlacedText]:
    lines = lines_of(content.get("sender", ""))
    for number, line in enumerate(lines):
        size = BODY_SIZE if number == 0 else SMALL_SIZE
        y = sheet.letterhead_top + number * BODY_SIZE * LEADING * POINT
        if y > sheet.window.top - 2 or width_of(line, number == 0, size) > sheet.text.right - sheet.text.left:
            raise RenderError("too_long", "sender does not fit above the window", field="sender")
        yield PlacedText(sheet.text.left, y, line, size, number == 0)
    if lines and sheet.return_line is not None:
        # All of it, or as many of the last lines as fit, which say where the letter goes back to.
        for first in range(len(lines)):
            line = " \u00b7 ".join(lines[first:])
            fitting = _fitting_size(line, RETURN_SIZES, sheet.address.right - sheet.address.left)
            if fitting is not None:
                yield PlacedText(sheet.address.left, sheet.return_line, line, fitting)
                return
        raise RenderError("too_long", "sender does not fit into the line above the address", field="sender")


def _set_reference(sheet: LetterFormat, content: Mapping[str, str]) -> Iterator[PlacedText]:
    area = sheet.reference
    for number, line in enumerate(lines_of(content.get("reference", "")), 1):
        y = area.top + number * SMALL_SIZE * LEADING * POINT
        if y > area.bottom or width_of(line, False, SMALL_SIZE) > area.right - area.left:
            raise RenderError("too_long", "reference does not fit beside the address", field="reference")
        yield PlacedText(area.left, y, line, SMALL_SIZE)


def _set_address(sheet: LetterFormat, address: Sequence[str]) -> Iterator[PlacedText]:
    area = sheet.address
    if len(address) > sheet.address_lines:
        raise AddressDoesNotFit(f"more than {sheet.address_lines} lines")
    step = (area.bottom - area.top) / sheet.address_lines
    sizes = (US_ADDRESS_SIZE,) if sheet.uppercase else ADDRESS_SIZES
    for number, given in enumerate(address):
        try:
            line = printable("to", given.upper() if sheet.uppercase else given)
        except RenderError:
            raise AddressDoesNotFit("a letter that the font lacks") from None
        size = _fitting_size(line, sizes, area.right - area.left)
        if size is None:
            raise AddressDoesNotFit("a line that is too long")
        # Capitals with accents reach 0.93 of the size above the baseline, letters 0.24 below it.
        yield PlacedText(area.left, area.top + (number + 0.795) * step, line, size)


def _fitting_size(line: str, sizes: Sequence[float], width: float) -> float | None:
    return next((size for size in sizes if width_of(line, False, size) <= width), None)


def _subject_lines(sheet: LetterFormat, content: Mapping[str, str]) -> Iterator[_Line]:
    yield from _break(Block((Run(content["subject"], True),), heading=True), _width(sheet), first_gap=0.0)


def _body_lines(sheet: LetterFormat, blocks: Sequence[Block]) -> Iterator[_Line]:
    for number, block in enumerate(blocks):
        yield from _break(block, _width(sheet), first_gap=2 * PARAGRAPH_GAP if number == 0 else PARAGRAPH_GAP)


def _width(sheet: LetterFormat) -> float:
    return sheet.text.right - sheet.text.left


def _break(block: Block, width: float, first_gap: float) -> Iterator[_Line]:
    """Lines of a block, broken between words, and within a word that is longer than a line."""
    indent = INDENT if block.marker else 0.0
    left, line, used = width - indent, list[Run](), 0.0
    gap, marker = first_gap, block.marker
    for word in _words(block.runs):
        if word == (Run("\n", False),):
            yield _Line(_trim(line), indent, marker, gap)
            line, used, gap, marker = [], 0.0, 0.0, ""
            continue
        for part in _fit(word, left):
            size = sum(width_of(each.text, each.bold, BODY_SIZE) for each in part)
            is_space = part[0].text == " "
            if used + size > left and line and not is_space:
                yield _Line(_trim(line), indent, marker, gap)
                line, used, gap, marker = [], 0.0, 0.0, ""
            if not is_space or line:
                line += part
                used += size
    if line:
        yield _Line(_trim(line), indent, marker, gap)


def _words(runs: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
    """Words, which may have letters of both weights, spaces, and line breaks."""
    word: list[Run] = []
    for run in runs:
        text = ""
        for character in run.text:
            if character in (*_BREAKS, "\n"):
                if text:
                    word.append(Run(text, run.bold))
                if word:
                    yield tuple(word)
                word, text = [], ""
                yield (Run("\n", False),) if character == "\n" else (Run(" ", run.bold),)
            else:
                text += character
        if text:
            word.append(Run(text, run.bold))
    if word:
        yield tuple(word)


def _fit(word: tuple[Run, ...], width: float) -> Iterator[tuple[Run, ...]]:
    """The word, in pieces that fit on a line."""
    if sum(width_of(each.text, each.bold, BODY_SIZE) for each in word) <= width:
        yield word
        return
    for run in word:
        begin, used = 0, 0.0
        for index, character in enumerate(run.text):
            size = width_of(character, run.bold, BODY_SIZE)
            if used + size > width and index > begin:
                yield (Run(run.text[begin:index], run.bold),)
                begin, used = index, 0.0
            used += size
        yield (Run(run.text[begin:], run.bold),)


def _trim(line: list[Run]) -> tuple[Run, ...]:
    while line and line[-1].text == " ":
        line.pop()
    return tuple(line)


def _fill_pages(sheet: LetterFormat, lines: Sequence[_Line]) -> Iterator[list[PlacedText]]:
    step = BODY_SIZE * LEADING * POINT
    page: list[PlacedText] = []
    area, y = sheet.text, sheet.text.top
    for line in lines:
        y += step if y == area.top else step + line.gap
        if y > area.bottom:
            yield page
            page, area = [], sheet.next_text
            y = area.top + step
        page += _place(line, area, y)
    yield page


def _place(line: _Line, area: Area, y: float) -> Iterator[PlacedText]:
    if line.marker:
        yield PlacedText(area.left, y, line.marker, BODY_SIZE)
    x = area.left + line.indent
    text, bold = "", False
    for piece in line.pieces:
        if text and piece.bold != bold:
            yield PlacedText(x, y, text, BODY_SIZE, bold)
            x += width_of(text, bold, BODY_SIZE)
            text = ""
        text, bold = text + piece.text, piece.bold
    if text:
        yield PlacedText(x, y, text, BODY_SIZE, bold)
