"""A customer's timeline over HTTP: everything newest first, page by page, by role, and nothing of an address."""

from typing import Any

import pytest

from schemas.facts import (
    Address,
    Consent,
    HoldFact,
    MessageScope,
    Preference,
    Quarantine,
    Situation,
    SuppressionEntry,
    Suppressions,
)
from schemas.times import DAY, HOUR, MINUTE, format_instant
from services.orchestrator.decisions import store
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.decision_records import decision, event, keep, keep_message
from tests.support.orchestrator_app import NOON, World

pytestmark = pytest.mark.wired

PATH = "/v1/customers/c-1/timeline"


async def fill(here: World) -> None:
    """One entry of each kind, the newest at noon, and one that lies in the future."""
    one = event("e-1")
    sent, refused = decision(one, outcome="send", reason="eligible"), decision(one, "email")
    other = event("e-2", "c-2")
    async with here.database.write() as tx:
        await keep(tx, one, sent, refused)
        await keep(tx, other, decision(other), offset=1)
        await keep_message(tx, sent)
        attributes = MessageAttributes("", "account", "phone", "service", None)
        call = Contact("msg_" + "0" * 32, 7, attributes, 0, NOON - HOUR, NOON - HOUR, "made")
        await store.lock_ledgers(tx, ["c-1"], ["c-1"])
        await store.save_ledgers(tx, {"c-1": Ledger.empty().put_reported_contact(call)})
    here.others.preferences["c-1"] = Preference(
        "c-1",
        3,
        addresses=(Address("sms", "+491701234567", True),),
        consent=(Consent("sms", "*", "granted", NOON - 5 * DAY, None, "checkout", "I agree"),),
        quarantines=(Quarantine("customer.events", 0, 9, NOON - 2 * HOUR, NOON + DAY),),
    )
    here.others.suppressions["c-1"] = Suppressions(
        "c-1",
        2,
        (SuppressionEntry("sms", None, ("marketing",), NOON - 4 * DAY, None, "manual"),),
        (Situation("complaint", '"k-1"', NOON - 3 * DAY, NOON - 2 * DAY), Situation("travel", "", NOON + HOUR)),
        (HoldFact("h-1", "defer", NOON - MINUTE, None, MessageScope(), reason="legal", placed_by="lea"),),
    )


async def test_everything_is_there_newest_first(here: World) -> None:
    await fill(here)
    answer = await here.call("agent", "GET", PATH)
    body = answer.json()
    kinds = [item["kind"] for item in body["items"]]
    assert kinds == [
        *("message", "decision", "decision", "event", "hold", "contact", "quarantine"),
        *("situation", "situation", "suppression", "consent"),
    ]
    by_kind = {item["kind"]: item for item in reversed(body["items"])}
    assert (by_kind["situation"]["change"], by_kind["situation"]["ref"]) == ("closed", "k-1")
    assert {key: value for key, value in by_kind["event"].items() if key != "kind"} == {
        "at": format_instant(NOON),
        "source": "/shop",
        "id": "e-1",
        "type": "shop.order.delivered",
    }
    refused = next(item for item in body["items"] if item["kind"] == "decision" and item["channel"] == "email")
    assert refused["change"] == ["the customer gives consent to this channel and topic"]
    assert refused["sentence"].startswith("An ask is not allowed") and refused["outcome"] == "suppress"
    assert by_kind["contact"]["channel"] == "phone" and by_kind["contact"]["class"] == "service"
    assert by_kind["suppression"]["classes"] == ["marketing"] and by_kind["hold"]["key"] == "h-1"
    assert (body["next"], body["left_out"]) == (None, [])
    assert "+49170" not in answer.text


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
async def test_pages_hold_each_entry_once_also_those_of_one_instant(here: World, limit: int) -> None:
    await fill(here)
    async with here.database.write() as tx:
        for number in range(5):
            await keep(tx, event(f"same-{number}"), offset=10 + number)
    whole = (await here.call("agent", "GET", f"{PATH}?limit=200")).json()["items"]
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        body = (await here.call("agent", "GET", f"{PATH}?limit={limit}{after}")).json()
        assert len(body["items"]) <= limit
        found += body["items"]
        if body["next"] is None:
            break
        after = f"&after={body['next']}"
    assert found == whole and len(whole) == 16


async def test_who_may_not_read_customers_sees_what_was_decided_and_that_more_is_left_out(here: World) -> None:
    await fill(here)
    body = (await here.call("marketer", "GET", PATH)).json()
    assert [item["kind"] for item in body["items"]] == ["message", "decision", "decision", "event"]
    assert body["left_out"] == ["consent", "contact", "hold", "quarantine", "situation", "suppression"]
    assert (await here.call("publisher", "GET", PATH)).status_code == 403


async def test_an_unknown_customer_is_not_found(here: World) -> None:
    await fill(here)
    answer = await here.call("agent", "GET", "/v1/customers/C-1/timeline")
    assert answer.status_code == 404 and "there is no customer `C-1`" in answer.json()["detail"]
    here.others.preferences["c-3"] = Preference("c-3", 1)
    assert (await here.call("agent", "GET", "/v1/customers/c-3/timeline")).json()["items"] == []
    assert (await here.call("viewer", "GET", "/v1/customers/c-3/timeline")).status_code == 404


async def test_a_page_that_lacks_facts_is_not_sent_as_if_it_were_whole(here: World) -> None:
    await fill(here)
    here.others.broken.add("/internal/suppression/facts")
    assert (await here.call("agent", "GET", PATH)).status_code == 503
    assert (await here.call("viewer", "GET", PATH)).status_code == 200


@pytest.mark.parametrize("after", ["x", "WzEsLTFd", "WyJhIiwwXQ", "WzEsOTk5OTk5OTk5OV0"])
async def test_a_cursor_of_something_else_is_refused(here: World, after: str) -> None:
    await fill(here)
    answer = await here.call("agent", "GET", f"{PATH}?after={after}")
    assert answer.status_code == 422 and answer.json()["errors"][0]["code"] == "bad_cursor"


async def test_an_id_of_any_characters_has_a_timeline(here: World) -> None:
    odd = event("e-9", "a/b c?")
    async with here.database.write() as tx:
        await keep(tx, odd, decision(odd))
    body = (await here.call("viewer", "GET", "/v1/customers/a%2Fb%20c%3F/timeline")).json()
    assert [item["kind"] for item in body["items"]] == ["decision", "event"]
