"""Draws a letter as PDF: pages as `typesetting` has set them, with the fonts embedded.

The same letter has the same bytes whenever and wherever it is drawn: its only date is a constant, and its id is made of
the message's.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from fpdf import FPDF

from services.orchestrator.delivery.channels.letter.fonts import FILES
from services.orchestrator.delivery.channels.letter.formats import FORMATS, LetterFormat
from services.orchestrator.delivery.channels.letter.typesetting import set_letter

MEDIA_TYPE: Final = "application/pdf"
_FAMILY: Final = "letter"
_NO_DATE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MARK: Final = (5.0, 8.0)
"""Where fold marks begin and end: the outer five millimetres are not printed."""


class _LetterPdf(FPDF):
    """A PDF whose id follows from the message's."""

    def __init__(self, sheet: LetterFormat, message_id: str) -> None:
        super().__init__(unit="mm", format=(sheet.width, sheet.height))
        self._message_id = message_id
        self.set_auto_page_break(False)
        self.set_creation_date(_NO_DATE)
        self.set_producer("Tactful")
        for bold, file in FILES.items():
            self.add_font(_FAMILY, "B" if bold else "", file)

    def file_id(self) -> str:
        digest = hashlib.sha256(self._message_id.encode()).hexdigest()[:32].upper()
        return f"<{digest}><{digest}>"


def draw_document(message_id: str, to: str, content: Mapping[str, str]) -> bytes:
    """The PDF of a rendered message to an address in its canonical form. Takes a tenth of a second of the processor.

    Raises AddressDoesNotFit, RenderError, and KeyError for content of another channel.
    """
    sheet = FORMATS[content["format"]]
    pages = set_letter(content, to.split(", "))
    pdf = _LetterPdf(sheet, message_id)
    pdf.set_title(content["subject"])
    for number, page in enumerate(pages):
        pdf.add_page()
        if number == 0:
            pdf.set_line_width(0.1)
            for y in sheet.fold_marks:
                pdf.line(_MARK[0], y, _MARK[1], y)
        for text in page.texts:
            pdf.set_font(_FAMILY, "B" if text.bold else "", text.size)
            pdf.text(text.x, text.y, text.text)
    return bytes(pdf.output())
