"""The sheets of letters: where the address stands so that it is read through the window, and where text may stand.

All lengths are millimetres from the sheet's upper left corner.
"""

from typing import Final, NamedTuple

INCH: Final = 25.4


class Area(NamedTuple):
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float


class LetterFormat(NamedTuple):
    """One kind of sheet and envelope. Values of `y` are the first baseline or, for areas, edges."""

    width: float
    height: float
    window: Area
    """What may be seen through the envelope's window, however the sheet lies in it: only the address stands here."""
    address: Area
    """Where the address is written: always inside what the window shows."""
    address_lines: int
    uppercase: bool
    return_line: float | None
    """Baseline of the small line with the sender above the address, in the window; None where there is none."""
    reference: Area
    letterhead_top: float
    text: Area
    """Body of the first page, the subject first."""
    next_text: Area
    """Body of the pages that follow."""
    fold_marks: tuple[float, ...]


DIN_5008_B: Final = LetterFormat(
    width=210,
    height=297,
    window=Area(20, 45, 105, 90),
    address=Area(25, 62.7, 103, 90),
    address_lines=6,
    uppercase=False,
    return_line=61,
    reference=Area(125, 50, 200, 90),
    letterhead_top=16,
    text=Area(25, 98.5, 190, 272),
    next_text=Area(25, 25, 190, 272),
    fold_marks=(105, 148.5, 210),
)
"""A4 for envelopes DL and C6/5: DIN 5008 form B."""
US_10: Final = LetterFormat(
    width=8.5 * INCH,
    height=11 * INCH,
    window=Area(0, 2.04 * INCH, 5.375 * INCH, 3.667 * INCH),
    address=Area(0.94 * INCH, 2.5 * INCH, 4.3 * INCH, 3.15 * INCH),
    address_lines=4,
    uppercase=True,
    return_line=None,
    reference=Area(5.5 * INCH, 0.8 * INCH, 8 * INCH, 2.0 * INCH),
    letterhead_top=16,
    text=Area(INCH, 4 * INCH, 7.5 * INCH, 10 * INCH),
    next_text=Area(INCH, INCH, 7.5 * INCH, 10 * INCH),
    fold_marks=(),
)
"""Letter paper, folded in thirds, in a #10 envelope with a window on the left. The sheet may slide an inch sideways and
0.46 inches up; the address stands where it is seen in every position, in capitals as the postal service wants it.
"""
FORMATS: Final[dict[str, LetterFormat]] = {"din_5008_b": DIN_5008_B, "us_10": US_10}
DEFAULT_FORMAT: Final = "din_5008_b"
