"""Which adapters serve a channel, as the settings say it, and what is refused with which words."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from schemas.vocabulary import Class
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from services.orchestrator.adapter_settings import RouteSettings, parse_accounts, parse_rates, parse_routes
from services.orchestrator.settings import OrchestratorSettings

SECOND_ACCOUNT = (
    '{"second": {"adapter": "webhook", "url": "https://example.com/hook", "secret": "whsec_MfKQ9r8GKYqrTwjU"}}'
)


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("off", ()),
        ("first", (("first", 1),)),
        ("first, second,third", (("first", 1), ("second", 0), ("third", 0))),
        ('[{"adapter": "first", "weight": 3}, {"adapter": "second"}]', (("first", 3), ("second", 1))),
    ],
)
def test_a_channel_has_one_adapter_or_several(text: str, routes: tuple[tuple[str, int], ...]) -> None:
    assert tuple((route.adapter, route.weight) for route in parse_routes(text)) == routes


def test_conditions_are_read() -> None:
    text = '[{"adapter": "a", "classes": ["transactional"], "topics": ["news"], "countries": ["DE"]}, {"adapter": "b"}]'
    first, second = parse_routes(text)
    assert first.has_conditions and not second.has_conditions
    assert first.classes == frozenset({Class.TRANSACTIONAL})
    assert (first.topics, first.countries) == (frozenset({"news"}), frozenset({"DE"}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "0/adapter: String should match"),
        ("First", "0/adapter: String should match"),
        ("a,", "1/adapter: String should match"),
        ("a, a", "an adapter is named twice"),
        ("[]", "at least 1 item"),
        ("[1]", "0: Input should be an object"),
        ("[", "Invalid JSON"),
        ('[{"adapter": "a", "waight": 1}]', "0/waight: Extra inputs"),
        ('[{"adapter": "a", "weight": -1}]', "0/weight: Input should be greater"),
        ('[{"adapter": "a", "countries": ["de"]}]', "0/countries/0: String should match"),
        ('[{"adapter": "a", "classes": ["promo"]}]', "0/classes/0"),
        ('[{"adapter": "a", "topics": ["news"]}]', "add one without, so that every message has a way out"),
        ('[{"adapter": "a", "weight": 0}]', "no adapter without conditions has a weight"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
        parse_routes(text)


def test_rates_are_messages_a_second() -> None:
    assert parse_rates("") == {}
    assert parse_rates("ses=14, news = 0.5,") == {"ses": 14.0, "news": 0.5}


@pytest.mark.parametrize("text", ["ses", "ses=0", "ses=-1", "ses=1e3", "ses=1, ses=2", "SES=1", "ses=9999999"])
def test_a_rate_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write each adapter once"):
        parse_rates(text)


def test_an_account_is_a_kind_with_settings_of_its_own() -> None:
    (account,) = parse_accounts(SecretStr(SECOND_ACCOUNT)).values()
    assert account.adapter == "webhook"
    assert account.settings["url"].get_secret_value() == "https://example.com/hook"
    assert parse_accounts(None) == {}


@pytest.mark.parametrize(
    ("accounts", "problem"),
    [
        ('{"second": {"url": "https://example.com"}}', "which kind of adapter is it"),
        ('{"second": {"adapter": "pigeon"}}', "second: there is no adapter `pigeon`"),
        ('{"webhook": {"adapter": "webhook"}}', "webhook: this is the name of a kind of adapter"),
        ('{"Second": {"adapter": "webhook"}}', "String should match"),
        ('["second"]', "valid dict|an object"),
    ],
)
def test_an_account_that_cannot_be_used_stops_the_start(accounts: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        load_settings(OrchestratorSettings, accounts=accounts)
    assert str(caught.value).startswith("TACTFUL_ACCOUNTS: ")


def test_the_settings_of_an_account_are_those_of_its_kind() -> None:
    settings = load_settings(OrchestratorSettings, accounts=SECOND_ACCOUNT)
    assert settings.settings_of("second").url == "https://example.com/hook"
    assert settings.kind_of("second") == "webhook"
    assert settings.kind_of("webhook") == "webhook"
    assert settings.kind_of("third") is None
    assert settings.adapter_names[-1] == "second"


def test_settings_that_its_kind_does_not_know_are_refused_with_their_place() -> None:
    settings = load_settings(OrchestratorSettings, accounts='{"second": {"adapter": "webhook", "colour": "red"}}')
    with pytest.raises(SettingsError, match="TACTFUL_ACCOUNTS: second/colour: Extra inputs are not permitted"):
        settings.settings_of("second")


def test_tables_of_a_file_say_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    tables = {"second": {"adapter": "webhook", "url": "https://example.com/hook"}}
    routes = [{"adapter": "webhook", "weight": 2}, {"adapter": "second"}]
    settings = load_settings(OrchestratorSettings, accounts=tables, adapters={"push": routes})
    assert settings.routes_of("push") == (RouteSettings(adapter="webhook", weight=2), RouteSettings(adapter="second"))
    assert settings.settings_of("second").url == "https://example.com/hook"


def test_variables_say_it_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_ACCOUNTS", SECOND_ACCOUNT)
    monkeypatch.setenv("TACTFUL_ADAPTERS__PUSH", '[{"adapter": "webhook"}, {"adapter": "second", "weight": 0}]')
    monkeypatch.setenv("TACTFUL_ADAPTERS__EMAIL", "second, webhook")
    settings = load_settings(OrchestratorSettings)
    assert [route.weight for route in settings.routes_of("push")] == [1, 0]
    assert [route.adapter for route in settings.routes_of("email")] == ["second", "webhook"]


def test_secrets_of_accounts_are_never_shown() -> None:
    settings = load_settings(OrchestratorSettings, accounts=SECOND_ACCOUNT)
    shown = {item.name: item.value for item in list_setting_origins(settings)}
    assert shown["TACTFUL_ACCOUNTS"] == "********"
    assert "whsec_MfKQ9r8GKYqrTwjU" not in repr(settings)


def test_there_is_one_inbox_alone() -> None:
    """Customers ask for it at one address, with tokens of one secret."""
    with pytest.raises(SettingsError, match="there can be one `app_inbox` alone"):
        load_settings(OrchestratorSettings, accounts='{"second": {"adapter": "app_inbox"}}')
