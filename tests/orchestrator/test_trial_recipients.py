"""Trial mode: who is on a list of recipients, and which adapters have one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.adapter_registry import ADAPTER_REGISTRY
from services.kit.runtime.settings import SettingsError, load_settings
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.trial_recipients import parse_recipients
from tests.support.webhook_receiver import message

LIST = "*@Team.example.com, Ada@Example.org, +49 151 12345678, c-17, device-token"


@pytest.mark.parametrize(
    ("fields", "is_allowed"),
    [
        ({"to": "eve@team.example.com"}, True),
        ({"to": "Eve@team.example.com"}, True),
        ({"to": "eve@example.com"}, False),
        ({"to": "eve@sub.team.example.com"}, False),
        ({"to": "eve@team.example.com.evil.example.net"}, False),
        ({"to": "eve@notteam.example.com"}, False),
        ({"to": "ada@example.org"}, True),
        ({"to": "ADA@example.org"}, True),
        ({"to": "ada2@example.org"}, False),
        ({"to": ""}, False),
        ({"channel": "sms", "to": "+4915112345678"}, True),
        ({"channel": "sms", "to": "+4915112345679"}, False),
        ({"channel": "sms", "to": "+491511234567"}, False),
        ({"channel": "sms", "to": "+4915112345679", "customer": "c-17"}, True),
        ({"channel": "push", "to": "device-token"}, True),
        ({"channel": "push", "to": "device-token-2"}, False),
        ({"channel": "push", "to": "DEVICE-TOKEN"}, False),
        # What looks like an address of the list, but is none on this channel.
        ({"channel": "push", "to": "eve@team.example.com"}, False),
        ({"channel": "in_app", "to": "eve@team.example.com", "customer": "eve@team.example.com"}, False),
        ({"customer": "C-17"}, False),
        ({"customer": "c-171"}, False),
    ],
)
def test_only_what_is_surely_on_the_list_may_go(fields: dict[str, Any], is_allowed: bool) -> None:
    listed = parse_recipients(LIST)
    assert listed is not None and len(listed) == 5
    assert listed.allow(message(**{"to": "nobody@example.net", "customer": "c-1", **fields})) is is_allowed


@given(st.text(max_size=40), st.sampled_from(["email", "sms", "push", "in_app"]))
def test_no_other_address_is_let_through(to: str, channel: str) -> None:
    listed = parse_recipients("*@team.example.com, +4915112345678, c-17")
    assert listed is not None
    expected = to == "c-17" or (
        to.strip().lower().endswith("@team.example.com") if channel == "email" else to.strip() == "+4915112345678"
    )
    assert not listed.allow(message(to=to, channel=channel)) or expected


@pytest.mark.parametrize("text", ["", "  ", "*", " * "])
def test_no_list_is_for_everybody(text: str) -> None:
    assert parse_recipients(text) is None


@pytest.mark.parametrize(
    "text",
    [",", " , ", "*, c-1", "*@", "*@localhost", "a*@example.com", "+49*", "*.example.com", "@example.com", "+49 nobody",
     "c-1 c-2", "a@example.com b@example.com", "+4", ",".join(f"c-{number}" for number in range(501))],
)  # fmt: skip
def test_an_entry_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"entry|list 1 to 500"):
        parse_recipients(text)


def test_a_list_that_cannot_be_read_stops_the_start_and_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_DISPATCH__ONLY_TO: entry 1") as caught:
        load_settings(OrchestratorSettings, dispatch={"only_to": "eva@@example.com"})
    assert "eva" not in str(caught.value)


@pytest.mark.parametrize(
    ("general", "own", "recipients"),
    [("", "", None), ("c-1, c-2", "", 2), ("c-1, c-2", "c-3", 1), ("c-1, c-2", "*", None), ("", "c-3", 1)],
)
def test_an_adapter_has_its_own_list_or_that_of_all(general: str, own: str, recipients: int | None) -> None:
    account = {"adapter": "webhook", "url": "https://example.com", "only_to": own}
    settings = load_settings(
        OrchestratorSettings,
        dispatch={"only_to": general},
        webhook={"only_to": own},
        accounts=json.dumps({"b": account}),
    )
    found = [settings.trial_of(name) for name in ("webhook", "b")]
    assert [None if each is None else len(each) for each in found] == [recipients, recipients]


def test_an_account_with_a_list_that_cannot_be_read_has_none_of_its_messages_sent() -> None:
    accounts = json.dumps({"b": {"adapter": "webhook", "url": "https://example.com", "only_to": "*@"}})
    with pytest.raises(SettingsError, match="TACTFUL_ACCOUNTS: b/only_to"):
        load_settings(OrchestratorSettings, accounts=accounts).trial_of("b")


def test_every_adapter_that_reaches_somebody_has_trial_mode_one_without_a_provider_as_well() -> None:
    settings = load_settings(OrchestratorSettings, dispatch={"only_to": "c-1"}, app_inbox={"only_to": "c-2"})
    for name, declaration in ADAPTER_REGISTRY.declarations.items():
        assert (settings.trial_of(name) is not None) is declaration.reaches_customers
    mine = settings.trial_of("app_inbox")
    assert mine is not None and mine.others == {"c-2"}


def test_a_post_that_everybody_may_read_is_not_let_out_by_the_customer_who_caused_it() -> None:
    post = message(channel="social", to="community", customer="c-1")
    for text, is_allowed in (("c-1, community", False), ("c-2, social", True)):
        listed = parse_recipients(text)
        assert listed is not None and listed.allow(post) is is_allowed


def test_adapters_that_reach_nobody_have_no_trial_mode() -> None:
    settings = load_settings(OrchestratorSettings, dispatch={"only_to": "c-1"})
    assert settings.trial_of("sandbox") is settings.trial_of("null") is settings.trial_of("no-such") is None
