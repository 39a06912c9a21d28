"""SMS: parts as networks count them, what they cost, and how to need fewer."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from smsutil import split as oracle

from schemas.finding import Severity
from services.orchestrator.delivery.channels.completion import ContentCompleter
from services.orchestrator.delivery.channels.costs import CostEstimator
from services.orchestrator.delivery.channels.sms.channel import CHANNEL as SMS
from services.orchestrator.delivery.channels.sms.cost import estimate_cost
from services.orchestrator.delivery.channels.sms.declaration import SmsSettings
from services.orchestrator.delivery.channels.sms.parts import split_sms
from services.orchestrator.delivery.channels.sms.plain_characters import PLAIN, suggest_plain_characters, write_plainly
from services.orchestrator.settings import OrchestratorSettings
from services.template import RenderError

PRICES = '{"currency": "EUR", "per_part": {"DE": 0.075, "US": 0.0079, "*": 0.1}}'
GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""3GPP TS 23.038, 6.2.1, in the order of the table, without the escape."""
GSM_EXTENSION = "\f^{}\\[~]|€"
"""The same, 6.2.1.1."""


@pytest.mark.parametrize(
    ("text", "encoding", "parts"),
    [
        ("a" * 160, "gsm-7", 1),
        ("a" * 161, "gsm-7", 2),
        ("a" * 306, "gsm-7", 2),
        ("a" * 307, "gsm-7", 3),
        ("€" * 80, "gsm-7", 1),
        ("€" * 81, "gsm-7", 2),
        ("a" * 152 + "€" + "a" * 10, "gsm-7", 2),  # the escape pair moves to the second part as a whole
        ("a" * 152 + "€" + "a" * 152, "gsm-7", 3),
        ("☃" * 70, "ucs-2", 1),
        ("☃" * 71, "ucs-2", 2),
        ("☃" * 134, "ucs-2", 2),
        ("☃" * 135, "ucs-2", 3),
        ("😀" * 35, "ucs-2", 1),
        ("😀" * 36, "ucs-2", 2),
        ("☃" * 66 + "😀" + "☃" * 66, "ucs-2", 3),  # so does a surrogate pair
        ("a" * 69 + "’", "ucs-2", 1),
        ("a" * 70 + "’", "ucs-2", 2),
    ],
)
def test_parts_are_counted_as_networks_do(text: str, encoding: str, parts: int) -> None:
    found = split_sms(text)
    assert (found.encoding, len(found.texts), "".join(found.texts)) == (encoding, parts, text)


def test_the_alphabet_is_that_of_the_standard() -> None:
    assert len(GSM_BASIC) == 127
    for character in GSM_BASIC:
        assert len(split_sms(character * 160).texts) == 1
        assert split_sms(character * 161).encoding == "gsm-7"
    for character in GSM_EXTENSION:
        assert len(split_sms(character * 80).texts) == 1
        assert len(split_sms(character * 81).texts) == 2
    others = (chr(code) for code in range(0x2100) if chr(code) not in GSM_BASIC + GSM_EXTENSION)
    assert {split_sms(each).encoding for each in others} == {"ucs-2"}


@given(st.text(alphabet="ab€[]{}^~é☃😀\n", max_size=400))
def test_parts_agree_with_another_implementation(text: str) -> None:
    assert tuple(part.content for part in oracle(text).parts) == split_sms(text).texts


@given(st.text(alphabet="a€☃😀", min_size=1, max_size=1200))
def test_no_part_is_longer_than_a_network_takes_and_no_character_is_split(text: str) -> None:
    found = split_sms(text)
    assert "".join(found.texts) == text
    most = {"gsm-7": (160, 153), "ucs-2": (70, 67)}[found.encoding][len(found.texts) > 1]
    for part in found.texts:
        units = len(part.encode("utf-16-le")) // 2 if found.outside else len(part) + part.count("€")
        assert 0 < units <= most


def test_more_than_ten_parts_are_refused_with_what_is_allowed() -> None:
    compiled = SMS.compile_templates({"text": "{{ customer.id }}"})
    assert SMS.render(compiled, {"customer": {"id": "☃" * 670}}, False) == {"text": "☃" * 670}
    with pytest.raises(RenderError) as caught:
        SMS.render(compiled, {"customer": {"id": "☃" * 671}}, False)
    assert caught.value.detail == (
        "text needs 11 parts in Unicode, at most 10 are allowed: 1530 characters of the GSM alphabet, or 670 if one is "
        "outside it"
    )
    (found,) = SMS.validate_content({"text": "☃" * 671}, False)
    assert (found.code, found.pointer, found.severity) == ("too_long", "/text", Severity.ERROR)
    assert (found.line, found.column) == (1, 671)
    (found,) = SMS.validate_content({"text": "a" * 1531}, False)
    assert (found.code, found.suggestion) == ("too_long", "shorten the text")
    assert "11 parts in the GSM alphabet" in found.detail


def test_a_text_that_is_too_long_for_one_character_is_told_which() -> None:
    (found,) = SMS.validate_content({"text": "a" * 700 + "…"}, False)
    assert found.suggestion == (
        "shorten the text, or write ... for … (horizontal ellipsis): "
        "a part then holds more than twice as many characters"
    )
    (found,) = SMS.validate_content({"text": "ê" * 700 + "…"}, False)
    assert found.suggestion == "shorten the text"


def test_a_character_that_costs_a_part_is_named_with_what_to_write_for_it() -> None:
    text = "Hi {{ customer.id }},\n" + "we" * 30 + " don’t – really"
    (found,) = SMS.validate_content({"text": text}, True)
    assert (found.code, found.severity, found.line, found.column) == ("costly_character", Severity.WARNING, 2, 65)
    assert found.detail == (
        "line 2, column 65: ’ (right single quotation mark) is outside the GSM alphabet, so that a part of the whole "
        "text holds 67 characters, not 153"
    )
    assert found.suggestion == ("write ' for ’ (right single quotation mark), - for – (en dash): 1 part, not 2")
    assert SMS.validate_content({"text": text.replace("’", "'").replace("–", "-")}, True) == []


@pytest.mark.parametrize(
    "text",
    [
        "Short, and it’s one part anyhow",
        "ê" * 80 + "’",  # it is Unicode for the letters as well
        "Ж" * 80,
        "a" * 200,
    ],
)
def test_what_saves_no_part_is_not_proposed(text: str) -> None:
    assert suggest_plain_characters(text) is None
    assert SMS.validate_content({"text": text}, True) == []


@pytest.mark.parametrize(
    ("character", "words"),
    [
        ("\u00a0", "write a blank for U+00A0 (no-break space)"),
        ("\u202f", "write a blank for U+202F (narrow no-break space)"),
        ("\u200b", "leave out U+200B (zero width space)"),
        ("\t", "write a blank for U+0009 (tabulator)"),
        ("”", 'write " for ” (right double quotation mark)'),
        ("😀", "leave out 😀 (grinning face)"),
        ("\ufe0f", "leave out U+FE0F (variation selector-16)"),
        ("👨‍👩‍👧", "leave out 👨 (man), 👩 (woman), 👧 (girl)"),
        ("…😀", "write ... for … (horizontal ellipsis) and leave out 😀 (grinning face)"),
    ],
)
def test_characters_are_named_so_that_they_can_be_found(character: str, words: str) -> None:
    assert suggest_plain_characters("a" * 100 + character + "b") == f"{words}: 1 part, not 2"


def test_a_suggestion_names_at_most_four_characters() -> None:
    found = suggest_plain_characters("a" * 100 + "’“”–—…")
    assert found is not None
    assert found.count(" for ") == 4
    assert found.endswith(", and 2 more likewise: 1 part, not 2")


@pytest.mark.parametrize("plain", PLAIN.values())
def test_what_is_proposed_is_in_the_alphabet(plain: str) -> None:
    assert split_sms(plain).encoding == "gsm-7"


@given(st.text(max_size=300))
def test_what_is_proposed_costs_less(text: str) -> None:
    if suggest_plain_characters(text) is not None:
        assert len(split_sms(write_plainly(text)).texts) < len(split_sms(text).texts)


def test_an_accent_behind_its_letter_becomes_part_of_it() -> None:
    compiled = SMS.compile_templates({"text": "{{ customer.id }}"})
    apart = unicodedata.normalize("NFD", "é" * 160)
    rendered = SMS.render(compiled, {"customer": {"id": apart}}, False)
    assert rendered == {"text": "é" * 160}
    assert SMS.measure(rendered)["parts"] == 1


def test_the_preview_says_what_makes_parts_short() -> None:
    assert SMS.measure({"text": "Hi “Ada”"}) == {"encoding": "ucs-2", "parts": 1, "outside_gsm": "“”"}
    assert SMS.measure({"text": "a" * 100 + "’"}) == {
        "encoding": "ucs-2",
        "parts": 2,
        "outside_gsm": "’",
        "suggestion": "write ' for ’ (right single quotation mark): 1 part, not 2",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hi", "1 part"),
        ("a" * 161, "2 parts"),
        ("it’s", "1 part in Unicode because of ’"),
        ("☃😀Ж\u00a0", "1 part in Unicode because of ☃ 😀 Ж and others"),
        ("a\u00a0b", "1 part in Unicode because of U+00A0"),
        ("👨‍👩‍👧", "1 part in Unicode because of 👨 👩 👧"),
        ("❤️", "1 part in Unicode because of ❤"),
        ("\u200d", "1 part in Unicode because of U+200D"),
        ("مرحبا", "1 part in Unicode because of its letters"),
        ("êô", "1 part in Unicode because of ê ô"),
    ],
)
def test_the_inbox_says_how_many_parts_and_why_they_are_short(text: str, words: str) -> None:
    assert SMS.summarise({"text": text}) == words


@pytest.mark.parametrize(
    ("to", "region", "text", "expected"),
    [
        ("+4915112345678", None, "a" * 161, ("0.15", "EUR", "2 parts to DE")),
        ("+12025550123", None, "Hi", ("0.0079", "EUR", "1 part to US")),
        ("+33612345678", None, "Hi", ("0.1", "EUR", "1 part to FR")),
        (None, "DE", "Hi", ("0.075", "EUR", "1 part to DE")),
        (None, None, "Hi", ("0.1", "EUR", "1 part to other countries")),
        ("nonsense", None, "Hi", ("0.1", "EUR", "1 part to other countries")),
    ],
)
def test_a_part_costs_what_the_country_of_the_number_costs(
    to: str | None, region: str | None, text: str, expected: tuple[str, str, str]
) -> None:
    cost = estimate_cost(SmsSettings(prices=PRICES), {"text": text}, to, region)
    assert cost is not None
    assert (cost.amount, cost.currency, cost.basis) == (Decimal(expected[0]), *expected[1:])
    assert str(cost) == f"{expected[0]} {expected[1]}"


def test_without_a_price_nothing_is_estimated() -> None:
    assert estimate_cost(SmsSettings(), {"text": "Hi"}, "+4915112345678", "DE") is None
    only_germany = SmsSettings(prices='{"currency": "EUR", "per_part": {"DE": 0.075}}')
    assert estimate_cost(only_germany, {"text": "Hi"}, "+33612345678", "DE") is None


def test_the_settings_of_a_channel_are_those_that_its_costs_are_estimated_by() -> None:
    estimator = CostEstimator(OrchestratorSettings.model_validate({"sms": {"prices": PRICES}, "region": "DE"}))
    assert str(estimator.estimate("sms", {"text": "Hi"})) == "0.075 EUR"
    assert estimator.estimate("push", {"title": "Hi", "body": "Hi"}) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "Invalid JSON"),
        ("{}", "currency: Field required"),
        ('{"currency": "euro", "per_part": {"DE": 1}}', "currency: "),
        ('{"currency": "EUR", "per_part": {}}', "per_part: "),
        ('{"currency": "EUR", "per_part": {"DE": -1}}', "per_part/DE: "),
        ('{"currency": "EUR", "per_part": {"Germany": 1}}', "per_part/Germany: write a country such as DE"),
        ('{"currency": "EUR", "per_part": {"DE": 1}, "tax": 1}', "tax: "),
    ],
)
def test_a_table_of_prices_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SmsSettings(prices=text)
    assert words in str(caught.value)


OPT_OUTS = '{"US": "Reply STOP to opt out", "FR": "STOP 36111", "*": "Opt out: reply END"}'
US_NUMBER, FR_NUMBER, DE_NUMBER = "+12025550123", "+33612345678", "+4915112345678"


@pytest.mark.parametrize(
    ("text", "cls", "to", "region", "expected"),
    [
        ("Sale!", "marketing", US_NUMBER, None, "Sale!\nReply STOP to opt out"),
        ("Sale! ", "marketing", FR_NUMBER, None, "Sale!\nSTOP 36111"),
        ("Sale!", "marketing", DE_NUMBER, None, "Sale!\nOpt out: reply END"),
        ("Sale!", "service", US_NUMBER, None, "Sale!"),
        ("Sale!", "transactional", US_NUMBER, None, "Sale!"),
        ("Sale!", "marketing", None, "US", "Sale!\nReply STOP to opt out"),
        ("Sale!", "marketing", None, None, "Sale!\nOpt out: reply END"),
        ("Sale! reply  stop to\nOPT out", "marketing", US_NUMBER, None, None),  # the words themselves
        ("Sale! Text STOP to end", "marketing", US_NUMBER, None, None),  # the keyword
        ("Sale! STOP au 36111", "marketing", FR_NUMBER, None, None),
        ("Sale! STOP", "marketing", FR_NUMBER, None, "Sale! STOP\nSTOP 36111"),  # not where to
        ("Stop by our shop", "marketing", US_NUMBER, None, "Stop by our shop\nReply STOP to opt out"),
        ("NONSTOP flights", "marketing", US_NUMBER, None, "NONSTOP flights\nReply STOP to opt out"),
    ],
)
def test_advertising_says_how_to_stop_it_as_the_country_wants(
    text: str, cls: str, to: str | None, region: str | None, expected: str | None
) -> None:
    settings = OrchestratorSettings.model_validate({"sms": {"opt_out_texts": OPT_OUTS}, "region": region})
    completed = ContentCompleter(settings).complete("sms", {"text": text}, cls, to)
    assert completed == {"text": text if expected is None else expected}


def test_what_is_added_counts_as_parts_and_is_not_added_by_itself() -> None:
    settings = OrchestratorSettings.model_validate({"sms": {"opt_out_texts": OPT_OUTS, "prices": PRICES}})
    completed = ContentCompleter(settings).complete("sms", {"text": "a" * 160}, "marketing", US_NUMBER)
    assert SMS.measure(completed)["parts"] == 2
    cost = CostEstimator(settings).estimate("sms", completed, US_NUMBER)
    assert cost is not None and cost.basis == "2 parts to US"
    without = OrchestratorSettings()
    assert ContentCompleter(without).complete("sms", {"text": "Hi"}, "marketing", US_NUMBER) == {"text": "Hi"}
    assert ContentCompleter(settings).complete("push", {"title": "Hi"}, "marketing", "token") == {"title": "Hi"}


def test_a_text_that_is_too_long_with_it_is_not_sent_without_it() -> None:
    settings = OrchestratorSettings.model_validate({"sms": {"opt_out_texts": OPT_OUTS}})
    with pytest.raises(RenderError) as caught:
        ContentCompleter(settings).complete("sms", {"text": "a" * 1530}, "marketing", US_NUMBER)
    assert (caught.value.code, caught.value.field) == ("too_long", "text")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "Invalid JSON"),
        ('{"US": "no"}', "US: "),
        ('{"US": "' + "a" * 71 + '"}', "US: "),
        ('{"USA": "Reply STOP"}', "USA: write a country such as US"),
        ('{"US": "Reply “STOP”"}', "US: use characters of the GSM alphabet"),
        ('{"US": "Reply\\nSTOP"}', "US: use characters of the GSM alphabet"),
    ],
)
def test_a_table_of_opt_out_texts_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SmsSettings(opt_out_texts=text)
    assert words in str(caught.value)
