"""Names that people cannot tell apart are one name."""

import pytest

from schemas.key_names import describe_bad_name, skeleton


@pytest.mark.parametrize(
    "name", ["eve", "Ada Lovelace", "Žofie", "Олег", "李 Wei", "ada@shop.example", "svc-billing_2", "Ελένη"]
)
def test_names_of_people_and_programs_are_good(name: str) -> None:
    assert describe_bad_name(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("e\u200bve", "U+200B"),
        ("ev\u00ade", "U+00AD"),
        ("\u202eeve", "U+202E"),
        ("eve\n", "U+000A"),
        ("e\x00ve", "U+0000"),
        ("ｅｖｅ", "write `eve`"),
        ("\u0435v\u0435", "mixes letters of Cyrillic and Latin"),
        (" eve", "begins or ends with a blank"),
        ("\u00a0", "blank"),
        ("\u0301\u0302", "marks alone"),
        ("\u3164", "marks alone"),
        ("e\ufe0fve", "U+FE0F"),
        ("e\U000e0101ve", "U+E0101"),
        ("\u212eve", "U+212E"),
        ("e\u20ddve", "U+20DD"),
        ("shop\u2010eu", "U+2010"),
        ("\ua4f0\ua4e6\ua4f0", "U+A4F0"),
        ("\u13ac\u13d9\u13ac", "U+13AC"),
        ("\u15f4\u142f\u15f4", "U+15F4"),
        ("\u02bbeve", "U+02BB"),
    ],
)
def test_what_hides_another_name_is_refused_in_words(name: str, words: str) -> None:
    assert words in (describe_bad_name(name) or "")


@pytest.mark.parametrize(
    "name",
    ["eve", "Eve", "EVE", " e v e", "e\u200bve", "ev\u00ade", "ｅｖｅ", "\u0435v\u0435", "\u0435\u0475\u0435", "évê"]
    + ["e\ufe0fve", "\u1d07\u1d20\u1d07", "\u0247ve", "e\u034fve", "e\u20ddve"],
)
def test_names_that_look_alike_have_one_skeleton(name: str) -> None:
    assert skeleton(name) == skeleton("eve")


@pytest.mark.parametrize("name", ["ewe", "ev", "evee", "adam", "Олег"])
def test_other_names_have_others(name: str) -> None:
    assert skeleton(name) != skeleton("eve")
