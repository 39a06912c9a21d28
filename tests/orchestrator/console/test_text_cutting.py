"""Lines with little room show whole characters."""

import pytest

from services.orchestrator.console.text_cutting import cut_text

FAMILY = "👨‍👩‍👧‍👦"
SCOTLAND = "🏴󠁧󠁢󠁳󠁣󠁴󠁿"


@pytest.mark.parametrize(
    ("text", "most", "found"),
    [
        ("short", 9, "short"),
        ("a longer text", 8, "a longer"),
        (f"ab{FAMILY}", 2 + len(FAMILY), f"ab{FAMILY}"),
        (f"ab{FAMILY}", 1 + len(FAMILY), "ab"),  # between the joiner and the last child
        (f"ab{FAMILY}", 4, "ab"),  # between a person and the joiner
        (f"{FAMILY}{FAMILY}", len(FAMILY) + 1, FAMILY),  # the second family begins: its first person alone is another
        (f"{FAMILY}{FAMILY}", len(FAMILY), FAMILY),
        ("a👍🏽", 2, "a"),  # a colour of skin
        ("a❤\ufe0f", 2, "a"),  # how the heart looks
        (f"a{SCOTLAND}", 5, "a"),
        ("🇩🇪🇫🇷", 3, "🇩🇪"),
        ("🇩🇪🇫🇷", 2, "🇩🇪"),
        ("cafe\u0301", 4, "caf"),  # an accent of its own
        (FAMILY, 3, FAMILY[:3]),  # nothing whole has room
        ("", 3, ""),
    ],
)
def test_a_cut_text_ends_with_a_whole_character(text: str, most: int, found: str) -> None:
    assert cut_text(text, most) == found
