"""Letters: what they may say, where it stands on the sheet, and how many pages it takes."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pypdf import PdfReader

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address
from services.orchestrator.delivery.channels.letter.channel import CHANNEL as LETTER
from services.orchestrator.delivery.channels.letter.document import draw_document
from services.orchestrator.delivery.channels.letter.fonts import width_of
from services.orchestrator.delivery.channels.letter.formats import DIN_5008_B, INCH, US_10, LetterFormat
from services.orchestrator.delivery.channels.letter.markup import read_body, write_body
from services.orchestrator.delivery.channels.letter.typesetting import AddressDoesNotFit, PlacedText, set_letter
from services.template import RenderError

SENDER = {"legal_name": "Müller & Söhne GmbH", "postal_address": "Lange Straße 1, 10115 Berlin"}
ADDRESS = "Łukasz Żółć, Hauptstraße 5, 80331 München"
FORMATS = [("din_5008_b", DIN_5008_B), ("us_10", US_10)]


def render(html: str = "<p>Guten Tag</p>", sender: Any = SENDER, **content: str) -> Any:
    compiled = LETTER.compile_templates({"subject": "Ihr Vertrag", "html": html, **content})
    return LETTER.render(compiled, {"customer": {"id": "c-1"}, "sender": sender}, False)


def texts(content: Mapping[str, str], address: Sequence[str] = ()) -> list[list[PlacedText]]:
    return [list(page.texts) for page in set_letter(content, address)]


def read_pdf(content: Mapping[str, str], to: str = ADDRESS) -> list[str]:
    reader = PdfReader(io.BytesIO(draw_document("msg_1", to, content)))
    return [page.extract_text() for page in reader.pages]


# --- what it says ---


def test_a_letter_is_its_texts_and_its_sender_comes_from_the_settings() -> None:
    assert render(
        "<p>Guten <b>Tag</b></p><ul><li>eins</li><li>zwei</li></ul>", reference="Berlin, 1. Mai\n  Nr. 7"
    ) == {
        "subject": "Ihr Vertrag",
        "html": "<p>Guten <b>Tag</b></p><ul><li>eins</li><li>zwei</li></ul>",
        "format": "din_5008_b",
        "sender": "Müller & Söhne GmbH\nLange Straße 1, 10115 Berlin",
        "reference": "Berlin, 1. Mai\nNr. 7",
    }
    assert "sender" not in render(sender={}) and render(sender={}, format="us_10")["format"] == "us_10"


def test_the_pdf_says_what_the_letter_says_in_every_alphabet_of_its_font() -> None:
    words = ["Zażółć gęślą jaźń", "Ångström", "Ελληνικά", "Українська", "Tiếng Việt", "Œuvre", "10 € & 5 %"]
    content = render("".join(f"<p>{each.replace('&', '&amp;')}</p>" for each in words))
    [page] = read_pdf(content)
    for each in (*words, "Ihr Vertrag", "Łukasz Żółć", "80331 München", "Müller & Söhne GmbH"):
        assert each in page


@pytest.mark.parametrize(
    "html",
    [
        "<p>a</p><ul><li>b</li><li>c <b>d</b></li></ul><p>e</p>",
        '<ol start="1"><li>a</li><li>b</li></ol><ol start="1"><li>c</li></ol><ul><li>d</li></ul>',
        '<ol start="3"><li>a<br>b</li></ol><p>c</p><ol start="4"><li>d</li></ol><h2>e &amp; f</h2>',
        "<p>&lt;b&gt; a  <b>b</b></p>".replace("  ", " "),
    ],
)
def test_what_is_kept_of_a_body_reads_as_it_was_written(html: str) -> None:
    blocks = read_body("html", html)
    assert write_body(blocks) == html and read_body("html", write_body(blocks)) == blocks


def test_items_hang_beside_their_markers() -> None:
    [page] = texts(render(f"<ol><li>{'lang ' * 60}</li><li><p>a</p><p>b</p></li></ol><ul><li></li></ul><p>c</p>"))
    placed = {each.text: each.x for each in page}
    left = DIN_5008_B.text.left
    assert (placed["1."], placed["2."], placed["a"], placed["b"], placed["c"]) == (left, left, left + 6, left, left)
    assert {each.x for each in page if each.text.startswith("lang")} == {left + 6}


def test_letters_are_composed_and_invisible_characters_are_left_out() -> None:
    assert render("<p>Gru\u0308\u00adße\u200b</p>")["html"] == "<p>Grüße</p>"


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<p>مرحبا</p>", "unprintable"),
        ("<p>שלום</p>", "unprintable"),
        ("<p>\u202eabc</p>", "unprintable"),
        ("<p>東京</p>", "unprintable"),
        ("<p>👩‍👩‍👧</p>", "unprintable"),
        ("<p>q\u0308</p>", "unprintable"),
        ("<table><tr><td>x</td></tr></table>", "unsupported_element"),
        ('<p><img src="https://example.org/a.png"></p>', "unsupported_element"),
        ('<p><a href="https://example.org">x</a></p>', "unsupported_element"),
        ("<p> </p>", "empty"),
        ("<p>a\x00</p>", "control_character"),
        ("<p>a&#1;</p>", "control_character"),
        ("<p>a&#127;</p>", "control_character"),
    ],
)
def test_what_cannot_be_printed_is_not_rendered(html: str, code: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(html)
    assert (caught.value.code, caught.value.field) == (code, "html")


def test_a_save_names_the_element_and_the_format() -> None:
    content = {"subject": "Hi", "html": "<p>Hi</p>\n<img src='https://example.org/a.png'>", "format": "a5"}
    found = {each.pointer: each for each in LETTER.validate_content(content, False)}
    assert (found["/html"].code, found["/html"].line, found["/html"].column) == ("unsupported_element", 2, 1)
    assert found["/format"].code == "unknown_format" and "us_10" in found["/format"].detail


# --- where it stands ---


def boxes(placed: Sequence[PlacedText]) -> list[tuple[float, float, float, float, str]]:
    """Left, top, right and bottom of each text in millimetres; letters reach from 0.93 to -0.24 of their size."""
    point = 25.4 / 72
    return [
        (each.x, each.y - 0.93 * each.size * point, each.x + width_of(each.text, each.bold, each.size),
         each.y + 0.24 * each.size * point, each.text)
        for each in placed
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "sheet"), FORMATS)
def test_the_window_shows_the_address_whole_and_nothing_else_but_the_return_line(
    name: str, sheet: LetterFormat
) -> None:
    content = render("<p>" + "word " * 400 + "</p>", reference="\n".join(["Berlin, 1. Mai 2026"] * 6), format=name)
    lines = [f"Line {number} of the address" for number in range(sheet.address_lines)]
    first = texts(content, lines)[0]
    written = [line.upper() if sheet.uppercase else line for line in lines]
    inside = 0
    for left, top, right, bottom, text in boxes(first):
        if text in written:
            inside += 1
            assert left >= sheet.address.left and right <= sheet.address.right
            assert top >= sheet.address.top and bottom <= sheet.address.bottom
        elif " \u00b7 " not in text:
            outside = right < sheet.window.left or left > sheet.window.right or bottom < sheet.window.top
            assert outside or top > sheet.window.bottom, text
    assert inside == sheet.address_lines


def test_the_address_of_din_5008_form_b_is_where_the_norm_has_it() -> None:
    first = texts(render(), ADDRESS.split(", "))[0]
    [name] = [each for each in first if each.text == "Łukasz Żółć"]
    [return_line] = [each for each in first if " \u00b7 " in each.text]
    assert (name.x, return_line.x) == (25, 25)
    assert 45 < return_line.y < 62.7 < name.y < 62.7 + 27.3 / 6
    assert all(each.y > 98.5 for each in first if each.text == "Ihr Vertrag")


def test_the_address_of_a_us_letter_is_seen_however_the_sheet_slides() -> None:
    first = texts(render(format="us_10"), ["Ada Example", "1 Example St", "Springfield IL 62701"])[0]
    for left, top, right, bottom, text in boxes(first):
        if text in ("ADA EXAMPLE", "1 EXAMPLE ST", "SPRINGFIELD IL 62701"):
            assert left >= 0.9 * INCH and right <= 4.3 * INCH and top + 0.2 >= 2.5 * INCH and bottom <= 3.15 * INCH


@pytest.mark.parametrize(
    ("name", "address"),
    [("us_10", "A, B, C, D, E"), ("din_5008_b", "Ada, " + "W" * 60), ("din_5008_b", "東京, Straße 1")],
)
def test_an_address_that_the_window_cannot_show_is_not_printed(name: str, address: str) -> None:
    with pytest.raises(AddressDoesNotFit):
        draw_document("msg_1", address, render(format=name))


def test_a_long_line_of_an_address_gets_smaller_letters() -> None:
    line = "Internationale Gesellschaft für Feinwerktechnik mbH & Co. KG"
    first = texts(render(), ["Ada", line])[0]
    assert [each.size < 10 for each in first if each.text in ("Ada", line)] == [False, True]


def test_everything_stays_within_the_margins_also_a_word_longer_than_a_line() -> None:
    word = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz" * 3
    content = render(f"<p>{word} und <b>{word}</b></p><ol><li>{'lang ' * 60}</li></ol>")
    for page in texts(content, ADDRESS.split(", ")):
        for left, _, right, bottom, text in boxes(page):
            assert left >= 20 and right <= 200.01 and bottom <= 292, text
    [joined] = read_pdf(content)
    assert re.sub(r"\s", "", joined).count(word) == 2


# --- how long it is ---


@pytest.mark.parametrize("name", ["din_5008_b", "us_10"])
def test_pages_are_counted_as_they_are_drawn(name: str) -> None:
    for words in (10, 400, 1000):
        content = render("<p>" + "Buchstabe " * words + "</p>", format=name)
        pages = read_pdf(content, "Ada Example, 1 Example St")
        assert LETTER.measure(content)["pages"] == len(pages)
        assert LETTER.summarise(content) == (f"{len(pages)} pages" if len(pages) > 1 else "1 page")
        assert all(f"{number}/{len(pages)}" in page for number, page in enumerate(pages, 1)) or len(pages) == 1
        assert sum(page.count("Buchstabe") for page in pages) == words
    assert len(pages) > 2


def test_a_letter_has_at_most_four_pages() -> None:
    with pytest.raises(RenderError) as caught:
        render("<p>" + "Buchstabe " * 2900 + "</p>")
    assert caught.value.code == "too_many_pages" and "at most 4" in caught.value.detail


def test_a_save_warns_of_values_that_make_it_too_long() -> None:
    content = {"subject": "Hi", "html": "<p>Dear {{ customer.traits.name | default: 'customer' }}</p>"}
    [found] = LETTER.validate_content(content, False)
    assert (found.pointer, found.code, found.severity.value) == ("/html", "may_fail", "warning")
    assert "makes too many pages" in found.detail and "truncate" in str(found.suggestion)


def test_a_list_may_begin_with_any_number_and_one_that_is_none_begins_with_the_first() -> None:
    for start, marker in (("7", "7."), ("0" * 5_000 + "7", "1."), ("x", "1."), ("-3", "1.")):
        [page] = texts(render(f'<ol start="{start}"><li>Item</li></ol>'))
        assert marker in [each.text for each in page]


def test_a_sender_that_is_too_long_for_the_line_above_the_address_is_shown_there_by_its_last_lines() -> None:
    lines = ["Gesellschaft fuer lange Namen und noch laengere Briefe mbH", "Lange Strasse 123, 12345 Musterstadt"]
    [page] = texts(render(sender=dict(zip(("legal_name", "postal_address"), lines, strict=True))))
    assert [each.text for each in page if "Musterstadt" in each.text] == [lines[1], lines[1]]


@pytest.mark.parametrize("sender", ["Zeile\n" * 9, "Ein sehr langer Name einer sehr alten Gesellschaft " * 3])
def test_a_sender_that_does_not_fit_is_refused(sender: str) -> None:
    compiled = LETTER.compile_templates({"subject": "x", "html": "<p>x</p>", "sender": sender})
    with pytest.raises(RenderError) as caught:
        LETTER.render(compiled, {}, False)
    assert (caught.value.code, caught.value.field) == ("too_long", "sender")


# --- bytes ---


def test_the_same_letter_has_the_same_bytes_and_another_message_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    content = render()
    first = draw_document("msg_1", ADDRESS, content)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert draw_document("msg_1", ADDRESS, content) == first
    ids = [PdfReader(io.BytesIO(each)).trailer["/ID"] for each in (first, draw_document("msg_2", ADDRESS, content))]
    assert ids[0] != ids[1]


def test_all_fonts_are_embedded_and_the_sheet_has_its_size() -> None:
    for name, sheet in FORMATS:
        reader = PdfReader(
            io.BytesIO(draw_document("msg_1", "Ada, Street 1", render("<p>a <b>b</b></p>", format=name)))
        )
        page = reader.pages[0]
        assert float(page.mediabox.width) == pytest.approx(sheet.width / 25.4 * 72, abs=0.1)
        fonts: Any = page["/Resources"]["/Font"]  # type: ignore[index]
        for font in fonts.values():
            assert "/FontFile2" in font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()


# --- addresses ---


def test_a_postal_address_is_lines_and_however_they_are_written_one_address() -> None:
    for text in (
        ADDRESS,
        " Łukasz Żółć\nHauptstraße  5\r\n80331 München ",
        "Łukasz Żółć; Hauptstraße 5;80331 München,",
    ):
        assert canonical_address("letter", text, None) == ADDRESS


@pytest.mark.parametrize(
    "text", ["Ada", "", "1, 2", "A\u202e, B", ", ".join("ABCDEFG"), "Ada, " + "x" * 61, "A\x00, B"]
)
def test_what_is_no_postal_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        canonical_address("letter", text, None)
