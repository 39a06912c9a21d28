"""The catalogues of the public pages: every text, in every language, with the same placeholders, in the right form."""

import ast
import re
from collections import Counter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from services.preference.centre.languages import LANGUAGES, SOURCE_LANGUAGE, load_language
from tests.support.centre_messages import CENTRE, SourceMessage, source_messages

TRANSLATED = [code for code in LANGUAGES if code != SOURCE_LANGUAGE]
_PLACEHOLDER = re.compile(r"%\((\w+)\)([sd])")


def read_catalogue(code: str) -> Catalog:
    with (CENTRE / "locales" / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def placeholders(text: str) -> Counter[tuple[str, str]]:
    assert "%" not in _PLACEHOLDER.sub("", text), text
    return Counter(_PLACEHOLDER.findall(text))


def test_there_is_a_catalogue_for_each_language_and_no_other() -> None:
    assert {path.stem for path in (CENTRE / "locales").glob("*.po")} == set(TRANSLATED)


def test_the_texts_are_found_in_code_templates_and_channels() -> None:
    found = source_messages()
    assert len(found) > 150
    for known in (
        SourceMessage(None, "Save my choices", None),
        SourceMessage(None, "You are unsubscribed", None),
        SourceMessage("by", "e-mail", None),
        SourceMessage(None, "Pause for one day", "Pause for %(num)d days"),
    ):
        assert known in found


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated_once_and_none_is_left_over(code: str) -> None:
    catalogue = read_catalogue(code)
    entries = [message for message in catalogue if message.id]
    ids = Counter(
        (message.context, *(message.id if isinstance(message.id, tuple) else (message.id, None))) for message in entries
    )
    assert set(ids) == {tuple(each) for each in source_messages()}
    for message in entries:
        assert not message.fuzzy, message.id
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(texts), message.id
        assert len(texts) == (catalogue.num_plurals if isinstance(message.id, tuple) else 1), message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_placeholders_are_those_of_the_text(code: str) -> None:
    for message in read_catalogue(code):
        if not message.id:
            continue
        assert message.string is not None
        if isinstance(message.id, tuple):
            wanted = placeholders(message.id[1])
            without_number = wanted - Counter({("num", "d"): 1})
            assert all(placeholders(text) in (wanted, without_number) for text in message.string), message.id
            assert any(placeholders(text) == wanted for text in message.string), message.id
        else:
            assert isinstance(message.string, str) and isinstance(message.id, str)
            assert placeholders(message.string) == placeholders(message.id), message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_plural_forms_that_serve_several_numbers_name_the_number(code: str) -> None:
    """A form without the number may be used for one number alone."""
    catalogue = read_catalogue(code)
    plural = load_language(code).translations.plural  # type: ignore[attr-defined]
    numbers_of: dict[int, set[int]] = {}
    for number in range(1, 201):
        numbers_of.setdefault(plural(number), set()).add(number)
    for message in catalogue:
        if message.id and isinstance(message.id, tuple):
            assert isinstance(message.string, tuple)
            for form, numbers in numbers_of.items():
                if len(numbers) > 1:
                    assert "%(num)d" in message.string[form], (message.id, form)


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        ("en", 1, "Pause for one day"),
        ("en", 30, "Pause for 30 days"),
        ("de", 1, "Einen Tag Pause"),
        ("de", 30, "30 Tage Pause"),
        ("fr", 30, "30 jours de pause"),
        ("pl", 3, "3 dni przerwy"),
        ("ar", 2, "استراحة يومين"),
        ("ar", 3, "استراحة 3 أيام"),
        ("ar", 30, "استراحة 30 يومًا"),
    ],
)
def test_plurals_are_right(code: str, number: int, text: str) -> None:
    assert load_language(code).plural("Pause for one day", "Pause for %(num)d days", number) == text


@pytest.mark.parametrize("code", LANGUAGES)
def test_names_and_dates_are_of_the_language(code: str) -> None:
    language = load_language(code)
    assert language.direction == ("rtl" if code == "ar" else "ltr")
    assert len(language.zones) > 400
    assert len({zone.zone for zone in language.zones}) == len(language.zones)
    assert language.zone_label("Europe/Berlin") != "Europe/Berlin"
    assert language.zone_label("Etc/UTC") == "Etc/UTC"


def test_texts_stand_where_they_are_translated_so_that_none_is_missed() -> None:
    for path in sorted(CENTRE.glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr in ("text", "plural"):
                first = call.args[0]
                is_known = isinstance(first, ast.Name) and first.id == "TICKED_BOX"
                assert isinstance(first, ast.Constant) or is_known, (path.name, call.lineno)
