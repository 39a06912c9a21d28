"""The page Replies."""

from __future__ import annotations

import pytest

from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired
PATH = "/console/replies"


async def planted(house: House, text: str = "please stop <now>") -> None:
    async with house.embedded.services.orchestrator.components.database.write() as tx:
        await tx.execute(
            "INSERT INTO undecided_reply (receipt_key, message_id, customer, adapter, channel, address, text, at, "
            "received, held_from, state) VALUES (:text, 'msg_1', 'ada', 'twilio', 'sms', '+4915112345678', :text, "
            ":now, :now, :now, 'undecided')",
            text=text,
            now=house.now,
        )


async def test_nothing_to_decide_is_said(shop: House) -> None:
    page = (await shop.get(PATH)).text
    assert "No reply waits for a decision" in page
    assert 'href="/console/replies"' in page


async def test_what_a_customer_wrote_is_decided_on_the_page(shop: House) -> None:
    await planted(shop)
    await planted(shop, "stpo")
    page = (await shop.get(PATH)).text
    assert "please stop &lt;now&gt;" in page and "stpo" in page
    refused = await shop.post(f"{PATH}/1", {"decision": "not_stop"})
    assert refused.status_code == 403  # without the token of the form
    answer = await shop.post(f"{PATH}/1", {"csrf": await shop.csrf(), "decision": "not_stop"})
    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    page = (await shop.get(PATH)).text
    assert "please stop" not in page and "stpo" in page
    assert "Decided by" in (await shop.get(f"{PATH}?state=not_stop")).text
    wrong = await shop.post(f"{PATH}/2", {"csrf": await shop.csrf(), "decision": "perhaps"})
    assert wrong.status_code == 422


async def test_an_operator_sees_that_replies_wait_and_not_what_they_say(shop: House) -> None:
    await planted(shop)
    await shop.sign_in("operator")
    page = (await shop.get(PATH)).text
    assert "Your role may not see what customers write" in page
    assert "please stop" not in page and "It is a stop" not in page
    answer = await shop.post(f"{PATH}/1", {"csrf": await shop.csrf(), "decision": "stop"})
    assert answer.status_code == 403


async def test_whoever_may_not_read_replies_has_no_such_page(shop: House) -> None:
    await shop.sign_in("viewer")
    assert (await shop.get(PATH)).status_code == 403
