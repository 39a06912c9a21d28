"""Forms are read strictly, wishes become fields, and what has changed is said from before and after."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import Address, Consent, CustomerQuietHours, FrequencyLimit, OptOut, Preference
from schemas.policy_topics import PolicyTopic
from schemas.times import DAY, parse_instant
from schemas.vocabulary import DAYS
from services.preference.centre.change_sentences import describe_changes
from services.preference.centre.choices import Cell
from services.preference.centre.consent_wording import word_ticked_box
from services.preference.centre.form import CentreForm, UnreadableForm, parse_centre_form, write_cells
from services.preference.centre.languages import LANGUAGES, accepted_languages, load_language
from services.preference.centre.masking import mask_own_address
from services.preference.centre.topic_texts import show_topics
from services.preference.centre.wishes import KEEP, frequency_choice, quiet_choice, read_wishes

NOW = parse_instant("2026-03-02T12:00:00Z")
ENGLISH = load_language("en")
TOPICS = show_topics([PolicyTopic("news", "News"), PolicyTopic("orders", "Orders", required=True)], ENGLISH)
KNOWN = Preference(
    "c-1",
    zone="Europe/Berlin",
    addresses=(Address("email", "a@example.org", True), Address("sms", "+491713920001", True)),
    consent=tuple(Consent(channel, "*", "granted", 0) for channel in ("email", "sms")),
)


def known(**fields: Any) -> Preference:
    values = {name: getattr(KNOWN, name) for name in KNOWN.__struct_fields__}
    return Preference(**{**values, **fields})


cells = st.dictionaries(
    st.builds(Cell, st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True), st.sampled_from(["email", "sms"])),
    st.booleans(),
    max_size=20,
)


@settings(deadline=None)
@given(cells, st.data())
def test_only_boxes_that_differ_from_what_was_shown_are_asked_for(shown: dict[Cell, bool], data: st.DataObject) -> None:
    wanted = {cell: data.draw(st.booleans()) for cell in shown}
    pairs = [("version", "7"), ("cells", write_cells(shown))]
    pairs += [("cell", ".".join(cell)) for cell, on in wanted.items() if on]
    body = "&".join(f"{name}={value.replace(' ', '+').replace('=', '%3D')}" for name, value in pairs)
    form = parse_centre_form(body.encode())
    assert form.cells == {cell: on for cell, on in wanted.items() if shown[cell] != on}
    assert form.version == 7 and form.action == "save"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    with suppress(UnreadableForm):
        parse_centre_form(body)


@pytest.mark.parametrize(
    ("before", "shown", "chosen", "after"),
    [
        ((), ("", ""), ("sms", ""), ["sms"]),
        (("email", "sms"), ("email", "sms"), ("sms", "sms"), ["sms", "email"]),  # one moved up, the other follows
        (("email", "sms"), ("email", "sms"), ("sms", "email"), ["sms", "email"]),
        (("email", "sms"), ("email", "sms"), ("", "sms"), ["sms"]),
        (("email", "sms"), ("email", "sms"), ("", ""), []),
        (("push", "email"), ("email", ""), ("sms", ""), ["sms", "email", "push"]),  # push has no address here
        (("email", "sms"), ("email", "sms"), ("email", "sms"), None),
    ],
)
def test_order(
    before: tuple[str, ...], shown: tuple[str, ...], chosen: tuple[str, ...], after: list[str] | None
) -> None:
    form = CentreForm("save", 1, order=chosen, shown_order=shown)
    wishes = read_wishes(form, ["en"], ["email", "sms"], known(channel_order=before))
    assert wishes.faults == [] and wishes.fields.get("channel_order") == after


def test_what_a_page_cannot_show_as_a_choice_is_kept() -> None:
    assert frequency_choice(FrequencyLimit(3, "day")) == KEEP
    assert quiet_choice(known(quiet_hours=(CustomerQuietHours(("sat",), 0, 600),))) == (KEEP, KEEP)
    assert quiet_choice(known(quiet_hours=(CustomerQuietHours(DAYS, 1260, 480),))) == ("21:00", "08:00")
    kept = CentreForm("save", 1, values={"frequency": KEEP}, changed=frozenset({"frequency"}))
    assert read_wishes(kept, [], [], KNOWN).fields == {}


def change(before: Preference, after: Preference, language: str = "en") -> list[str]:
    return describe_changes(before, after, TOPICS, load_language(language), NOW)


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        ({}, {}, []),
        (
            {},
            {"opt_outs": (OptOut(channel="sms", topic="news"),)},
            ["From now on you get nothing about “News” by SMS."],
        ),
        ({}, {"opt_outs": (OptOut(topic="news"),)}, ["From now on you get nothing about “News” by e-mail and SMS."]),
        ({}, {"opt_outs": (OptOut(cls="marketing"),)}, ["From now on you get no advertising from us."]),
        (
            {"opt_outs": (OptOut(channel="sms"),)},
            {},
            ["From now on you get “News” by SMS.", "What you always get comes by SMS again too."],
        ),
        ({"frequency": FrequencyLimit(1, "week")}, {}, ["Advertising comes as it comes, without a limit of yours."]),
        ({}, {"frequency": FrequencyLimit(3, "day")}, ["At most 3 messages of advertising a day."]),
        ({}, {"frequency": FrequencyLimit(1, "month")}, ["At most one message of advertising a month."]),
        ({}, {"quiet_hours": (CustomerQuietHours(DAYS, 1260, 480),)}, ["Your quiet hours: 21:00–08:00."]),
        (
            {},
            {"quiet_hours": (CustomerQuietHours(("sat", "sun"), 0, 600),)},
            ["Your quiet hours: Sat and Sun 00:00–10:00."],
        ),
        ({"quiet_hours": (CustomerQuietHours(DAYS, 1260, 480),)}, {}, ["You have no quiet hours any more."]),
        ({}, {"zone": "Asia/Tokyo"}, ["Your time zone is: Tokyo, Japan."]),
        ({}, {"zone": None}, ["We no longer know your time zone."]),
        ({}, {"locale": "de-AT"}, ["We write to you in: German (Austria)."]),
        ({"locale": "de"}, {}, ["We no longer know your language."]),
        ({}, {"channel_order": ("sms", "email")}, ["Where we can choose, we write in this order: SMS, E-mail."]),
        ({"channel_order": ("sms",)}, {}, ["No way of writing to you comes first any more."]),
        (
            {},
            {"paused_until": NOW + 30 * DAY},
            ["Until Wednesday, 1 April 2026 you get nothing but what you need. Then it goes on as before."],
        ),
        ({"paused_until": NOW + DAY}, {}, ["The pause is over."]),
        ({"paused_until": NOW - DAY}, {}, []),
        ({"opt_outs": (OptOut(cls="service"),)}, {}, ["From now on you get service messages again."]),
    ],
)
def test_every_change_has_its_sentence(before: dict[str, Any], after: dict[str, Any], sentences: list[str]) -> None:
    assert change(known(**before), known(**after)) == sentences


@pytest.mark.parametrize("code", LANGUAGES)
def test_sentences_are_said_in_every_language(code: str) -> None:
    off, two = OptOut(topic="news"), FrequencyLimit(2, "week")
    after = known(opt_outs=(off,), frequency=two, zone="Asia/Tokyo", locale="fr", paused_until=NOW + DAY)
    said, english = change(KNOWN, after, code), change(KNOWN, after)
    assert len(said) == len(english) == 5
    assert code == "en" or not set(said) & set(english)


def test_the_words_of_a_consent_are_those_of_the_page_and_their_key_is_theirs_alone() -> None:
    first = word_ticked_box(ENGLISH, TOPICS[0], "sms")
    assert first.text.endswith("\nNews\nSMS") and first.text.startswith("A ticked box says: yes")
    assert first == word_ticked_box(ENGLISH, TOPICS[0], "sms") and first.locale == "en"
    others = [word_ticked_box(ENGLISH, TOPICS[0], "email"), word_ticked_box(load_language("de"), TOPICS[0], "sms")]
    assert len({first.key, *(other.key for other in others)}) == 3


@pytest.mark.parametrize(
    ("channel", "address", "masked"),
    [
        ("email", "ada.lovelace@posteo.example", "a…\u2060@posteo.example"),
        ("sms", "+491713920417", "…\u2060417"),
        ("sms", "12345", None),
        ("push", "token-of-a-device", None),
        ("letter", "Ada, 1 Example Street", None),
        ("gone", "x@example.org", None),
    ],
)
def test_addresses_are_masked(channel: str, address: str, masked: str | None) -> None:
    assert mask_own_address(Address(channel, address, True)) == masked


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", []),
        ("de", ["de"]),
        ("fr;q=0.5, de-AT, *;q=0.1", ["de-AT", "fr"]),
        ("fr;q=x, en;q=0, de;q=0.1", ["de"]),
        (",,;;=", []),
    ],
)
def test_accepted_languages_are_in_order(header: str, tags: list[str]) -> None:
    assert accepted_languages(header) == tags
