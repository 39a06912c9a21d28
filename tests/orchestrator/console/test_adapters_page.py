"""The page Channels and adapters."""

from __future__ import annotations

import pytest

from schemas.message import HandoverResult
from services.orchestrator.delivery.adapter_health import AdapterHealth
from services.orchestrator.delivery.adapter_trouble import TroubleNotes
from services.orchestrator.trial_recipients import parse_recipients
from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired
PATH = "/console/adapters"


async def test_it_shows_what_serves_and_where_messages_go(shop: House) -> None:
    page = (await shop.get(PATH)).text
    assert "sandbox" in page and "Serves" in page and "nothing leaves this installation" in page
    assert "nothing was refused" in page
    assert 'aria-current="page"' in page


async def test_an_adapter_that_is_refused_says_so_in_words(shop: House) -> None:
    health = AdapterHealth()
    health.start(1)
    health.finish([HandoverResult("m", "retry", fault="account")], 0.1)
    database = shop.embedded.services.orchestrator.components.database
    await TroubleNotes(database, {"sandbox": health}, "another").note()
    page = (await shop.get(PATH)).text
    assert "Refuses the account" in page and "No message is lost" in page and "Tried again in" in page


async def test_a_test_goes_to_oneself_and_its_end_is_told(shop: House) -> None:
    csrf = await shop.csrf()
    fields = {"csrf": csrf, "to": "me@example.com", "channel": "email"}
    answer = await shop.post(f"{PATH}/sandbox/test", fields)
    assert answer.status_code == 200
    assert "has taken the message. You find it in the sandbox inbox" in answer.text
    assert "mailbox or telephone" not in answer.text
    refused = await shop.post(f"{PATH}/sandbox/test", {**fields, "to": "nobody"})
    assert "was not asked" in refused.text and "has taken" not in refused.text


async def test_without_the_token_of_the_form_nothing_is_sent(shop: House) -> None:
    answer = await shop.post(f"{PATH}/sandbox/test", {"to": "me@example.com", "channel": "email"})
    assert answer.status_code == 403


async def test_whoever_may_only_look_has_no_form(shop: House) -> None:
    await shop.sign_in("viewer")
    page = (await shop.get(PATH)).text
    assert "Serves" in page and "test-form" not in page
    answer = await shop.post(f"{PATH}/sandbox/test", {"csrf": await shop.csrf(), "to": "a@b.de", "channel": "email"})
    assert answer.status_code == 403


async def test_an_adapter_in_trial_mode_says_so_and_a_test_to_others_is_not_sent(shop: House) -> None:
    adapters = shop.embedded.services.orchestrator.components.adapters
    listed = parse_recipients("*@team.example.com, c-1")
    adapters.trials["sandbox"] = listed  # type: ignore[index]
    adapters.by_name["sandbox"].trial = listed  # type: ignore[attr-defined]
    page = (await shop.get(PATH)).text
    assert "Trial mode" in page and "only to the 2 entries of its list" in page
    fields = {"csrf": await shop.csrf(), "to": "me@example.com", "channel": "email"}
    refused = (await shop.post(f"{PATH}/sandbox/test", fields)).text
    assert "is in trial mode, and this recipient is not on its list: nothing was sent" in refused
    taken = (await shop.post(f"{PATH}/sandbox/test", {**fields, "to": "me@team.example.com"})).text
    assert "has taken the message" in taken
