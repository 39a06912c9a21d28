"""What a reply asks for, by its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.delivery.receipts.reply_keywords import KEYWORDS, TELLING, understand_reply


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("STOP", "stop"),
        ("Stop", "stop"),
        ("  stop\n", "stop"),
        ("Stop!", "stop"),
        ("“STOP”.", "stop"),
        ("\uff33\uff34\uff2f\uff30", "stop"),  # full-width letters
        ("STOP ALL", "stop"),
        ("stop   all", "stop"),
        ("opt-out", "stop"),
        ("UNSUBSCRIBE", "stop"),
        ("STOPP", "stop"),
        ("Abmelden", "stop"),
        ("ARRÊT", "stop"),
        ("arret", "stop"),
        ("Désinscription", "stop"),
        ("BAJA", "stop"),
        ("Cancelar", "stop"),
        ("start", "start"),
        ("UNSTOP", "start"),
        ("Alta", "start"),
        ("HELP", "help"),
        ("Hilfe?", "help"),
        ("aide", "help"),
        ("¡Ayuda!", "help"),
        ("info", "help"),
        ("please stop", "maybe_stop"),
        ("Bitte abmelden", "maybe_stop"),
        ("STOP texting me", "maybe_stop"),
        ("ne m'écrivez plus, stop", "maybe_stop"),
        ("stpo", "maybe_stop"),
        ("unsubscibe", "maybe_stop"),
        ("Yes", None),
        ("Thanks, see you at the bus station", None),
        ("This is the end of the month", None),
        ("", None),
        ("   ", None),
        ("!!!", None),
        ("1", None),
    ],
)
def test_words_are_understood_alone_and_otherwise_left_to_a_person(text: str, asked: str | None) -> None:
    assert understand_reply(text) == asked


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_the_languages_that_must_be_there_have_words_for_everything(language: str) -> None:
    assert all(KEYWORDS[keyword][language] for keyword in KEYWORDS)


def test_every_word_asks_for_one_thing_and_is_written_as_it_is_compared() -> None:
    asked: dict[str, str] = {}
    for keyword, languages in KEYWORDS.items():
        for word in (word for words in languages.values() for word in words):
            assert asked.setdefault(word, keyword) == keyword
            assert understand_reply(word) == understand_reply(word.upper()) == keyword
            assert word == word.casefold()
    assert all(each == each.casefold() for each in TELLING)


@given(st.text(max_size=300))
def test_any_text_is_understood_or_not(text: str) -> None:
    assert understand_reply(text) in (None, "stop", "start", "help", "maybe_stop")


def test_a_long_reply_takes_no_longer() -> None:
    assert understand_reply("stop " * 100_000) == "maybe_stop"
