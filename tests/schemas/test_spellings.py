"""Locales, countries and zones: every right spelling is taken and written in one way, the rest refused with advice."""

from typing import Any

import pytest

from schemas.campaign import Campaign
from schemas.countries import parse_country
from schemas.customer import Customer
from schemas.documents import DocumentError, validate_document
from schemas.locales import parse_locale
from schemas.policy import Policy
from schemas.zone_spellings import parse_zone
from schemas.zones import is_zone, zone_names
from tests.support.document_builders import campaign


@pytest.mark.parametrize(
    "given, kept",
    [
        ("en", "en"),
        ("DE", "de"),
        ("de_de", "de-DE"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("sr_latn_rs", "sr-Latn-RS"),
        ("en-gb-oxendict", "en-GB-oxendict"),
        ("de-CH-1996", "de-CH-1996"),
        ("es-419", "es-419"),
        ("en-US-u-mu-celsius", "en-US-u-mu-celsius"),
        ("de-DE-u-co-phonebk-x-Ada", "de-DE-u-co-phonebk-x-ada"),
        ("en-x-a-b-a-b", "en-x-a-b-a-b"),
        ("x-pirate", "x-pirate"),
        ("i-klingon", "i-klingon"),
        ("gsw", "gsw"),
        ("sl-Rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("en-gb-oed", "en-GB-oed"),
        ("SGN-be-fr", "sgn-BE-FR"),
        ("zh-MIN-nan", "zh-min-nan"),
        ("x-fr-CH-Latn", "x-fr-ch-latn"),
        ("en-a-LATN-de-x-GB", "en-a-latn-de-x-gb"),
        ("de-1A2b", "de-1a2b"),
        ("en_us_posix", "en-US-posix"),
    ],
)
def test_a_well_formed_language_tag_is_taken(given: str, kept: str) -> None:
    assert parse_locale(given) == kept
    assert parse_locale(kept) == kept


@pytest.mark.parametrize(
    "given", ["", "e", "berlin", "123", "root", "en-", "en--US", "-en", "de-12", "en-US-US", "en-u", "de-DE-x", " de",
              "en-a-bbb-a-ccc", "en-" + "x" * 9, "x" * 200, "en US", "Deutsch"],
)  # fmt: skip
def test_what_is_no_language_tag_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="not a language tag"):
        parse_locale(given)


def test_a_posix_locale_is_refused_with_its_language_tag() -> None:
    for given, meant in {
        "de_DE.UTF-8": "de-DE", "de_DE@euro": "de-DE", "de.UTF-8": "de", "de_DE.ISO-8859-1@euro": "de-DE",
        "sr_RS.UTF-8@latin": "sr-Latn-RS", "uz_UZ@cyrillic": "uz-Cyrl-UZ", "ca_ES@valencia": "ca-ES-valencia",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=f"did you mean `{meant}`"):
            parse_locale(given)


@pytest.mark.parametrize("given, kept", [("de", "DE"), ("De", "DE"), ("GB", "GB"), ("xk", "XK")])
def test_a_country_is_taken_in_any_case(given: str, kept: str) -> None:
    assert parse_country(given) == kept


@pytest.mark.parametrize(
    "given, meant",
    [("UK", "GB"), ("EL", "GR"), ("DEU", "DE"), ("276", "DE"), ("germany", "DE"), ("Germny", "DE"), ("DD", "DE"),
     ("USA", "US"), ("Deutschland", "DE"), ("Frankreich", None), ("ß", None), ("\ufb01", None),
     ("XX", None), ("ZZ", None), ("EU", None), ("", None), ("D", None)],
)  # fmt: skip
def test_what_is_no_country_is_refused(given: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match="not a country's code") as refused:
        parse_country(given)
    assert ("did you mean" in str(refused.value)) == (meant is not None)
    assert meant is None or f"`{meant}`" in str(refused.value)


@pytest.mark.parametrize(
    "given, kept",
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("AMERICA/NEW_YORK", "America/New_York"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("utc", "UTC"),
        ("Etc/UTC", "Etc/UTC"),
        ("US/Pacific", "America/Los_Angeles"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Europe/Stockholm", "Europe/Stockholm"),
        ("EST", "EST"),
    ],
)
def test_a_zone_is_taken_in_every_spelling(given: str, kept: str) -> None:
    assert parse_zone(given) == kept


def test_every_zone_is_kept_under_a_name_of_the_tz_database() -> None:
    assert all(is_zone(parse_zone(name)) for name in zone_names())


@pytest.mark.parametrize(
    "given, meant",
    [("Berln", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("New York", "America/New_York"),
     ("Pacific Standart Time", "America/Los_Angeles"), ("Europe/Berlim", "Europe/Berlin"), ("localtime", None),
     ("posixrules", None), ("Factory", None), ("+02:00", None), ("UTC+2", None), ("GMT-03:30", None), ("", None)],
)  # fmt: skip
def test_what_is_no_zone_is_refused(given: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match="not a zone") as refused:
        parse_zone(given)
    assert ("did you mean" in str(refused.value)) == (meant is not None)
    assert meant is None or f"`{meant}`" in str(refused.value)


def test_documents_keep_one_spelling() -> None:
    customer = validate_document(
        Customer, {"customer": "c-1", "locale": "de_at", "country": "at", "zone": "europe/vienna"}
    )
    assert (customer.locale, customer.country, customer.zone) == ("de-AT", "AT", "Europe/Vienna")
    policy = validate_document(Policy, {"zone": "Pacific Standard Time", "unknown_zones": ["us/eastern"]})
    assert (policy.zone, policy.unknown_zones) == ("America/Los_Angeles", ("America/New_York",))


def test_a_campaign_keeps_its_locales_as_they_are_written() -> None:
    document = campaign()
    (channel,) = document["channels"]
    document["default_locale"] = "de_at"
    document["content"] = {channel: {"DE-at-x-Alp": next(iter(document["content"][channel].values()))}}
    saved = validate_document(Campaign, document)
    assert saved.default_locale == "de_at"
    assert list(saved.content[channel]) == ["DE-at-x-Alp"]
    document["default_locale"] = "deutsch"
    with pytest.raises(DocumentError, match="/default_locale: not a language tag"):
        validate_document(Campaign, document)


@pytest.mark.parametrize("field, value", [("zone", "Berln"), ("locale", "deutsch"), ("country", "UK")])
def test_a_wrong_spelling_is_named_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(DocumentError) as refused:
        validate_document(Customer, {"customer": "c-1", field: value})
    assert [pointer for pointer, _, _ in refused.value.errors] == [f"/{field}"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("addresses", None, "must be a list"),
        ("traits", [], "must be an object"),
        ("locale", 5, "must be text"),
        ("frequency", {"limit": "2", "per": "week"}, "must be a whole number"),
        ("addresses", [{"channel": "email", "address": "a@b.org", "verified": "yes"}], "must be true or false"),
        ("quiet_hours", [{"days": [], "from": "22:00", "to": "08:00"}], "needs at least 1 of them"),
        ("opt_outs", [{"channel": "sms"}] * 1001, "holds more than 1000"),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused_in_words_of_people(field: str, value: Any, words: str) -> None:
    with pytest.raises(DocumentError) as refused:
        validate_document(Customer, {"customer": "c-1", field: value})
    assert [detail for _, _, detail in refused.value.errors] == [words]
