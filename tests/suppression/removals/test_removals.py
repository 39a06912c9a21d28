"""Removal of an entry: two people, a reason, and nothing against the customer's word."""

import pytest

from schemas.service_api import CustomerAddressHashes, ProviderEntry
from schemas.times import format_instant
from tests.support.suppression_service import NOW, Running
from tests.suppression.api.test_entry_routes import ADA, entries

pytestmark = pytest.mark.wired

MANUAL = {"customer": "c-1", "reason": "manual"}
REMOVALS = "/v1/suppressions/removals"


async def add(service: Running, body: object = MANUAL) -> str:
    return str((await service.http.post("/v1/suppressions", json=body)).json()["id"])


async def ask(service: Running, entry: str, **body: str):  # type: ignore[no-untyped-def]
    return await service.http.request("DELETE", f"/v1/suppressions/{entry}", json=body)


async def test_an_entry_stays_until_another_person_approves(service: Running) -> None:
    ids = [await add(service), await add(service, ADA)]
    for entry in ids:
        asked = await ask(service, entry, reason="asked for it in writing")
        request = asked.json()
        assert (asked.status_code, request["state"], request["requested_by"]) == (202, "requested", "admin")
        assert asked.headers["location"] == f"{REMOVALS}/{request['id']}"
        assert len((await service.http.get("/v1/suppressions")).json()["items"]) == 2 - ids.index(entry)
        path = f"{REMOVALS}/{request['id']}/approve"
        own = await service.http.post(path)
        assert (own.status_code, own.json()["code"]) == (403, "own_removal")
        approved = await service.http.post(path, headers=service.handovers.key("privacy"))
        assert (approved.json()["state"], approved.json()["decided_by"]) == ("approved", "privacy")
        again = await service.http.post(path, headers=service.handovers.key("privacy"))
        assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
        kept = (await service.http.get(f"/v1/suppressions/{entry}")).json()
        assert (kept["removed_by"], kept["remove_reason"]) == ("privacy", "asked for it in writing")
        assert (await ask(service, entry, reason="again")).status_code == 404
    assert await entries(service, "c-1", ("email", "ada@example.org")) == ()


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [("", None, 422), ("?reason=moved", None, 202), ("", {"reason": "moved"}, 202), ("", {}, 422)],
)
async def test_a_delete_may_have_no_body_but_has_a_reason(
    service: Running, query: str, body: object, status: int
) -> None:
    answer = await service.http.request("DELETE", f"/v1/suppressions/{await add(service)}{query}", json=body)
    assert answer.status_code == status
    if status == 202:
        assert answer.json()["reason"] == "moved"
    else:
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/reason"]


async def test_one_request_for_an_entry_at_a_time(service: Running) -> None:
    entry = await add(service)
    first = (await ask(service, entry, reason="one")).json()["id"]
    second = await ask(service, entry, reason="two")
    assert (second.status_code, first in second.json()["detail"]) == (409, True)
    withdrawn = await service.http.post(f"{REMOVALS}/{first}/decline", json={"reason": "no longer"})
    assert (withdrawn.json()["state"], withdrawn.json()["decision_reason"]) == ("withdrawn", "no longer")
    service.clock.advance(1)
    third = (await ask(service, entry, reason="three")).json()["id"]
    declined = await service.http.post(f"{REMOVALS}/{third}/decline", headers=service.handovers.key("privacy"))
    assert declined.json()["state"] == "declined"
    listed = (await service.http.get(REMOVALS, params={"limit": 1})).json()
    assert [each["id"] for each in listed["items"]] == [third]
    rest = (await service.http.get(REMOVALS, params={"after": listed["next"], "state": "withdrawn"})).json()
    assert [each["id"] for each in rest["items"]] == [first]
    assert (await service.http.get(f"{REMOVALS}/{first}")).json() == withdrawn.json()
    assert len(await entries(service)) == 1


async def test_a_request_is_void_once_its_entry_has_ended(service: Running) -> None:
    entry = await add(service)
    request = (await ask(service, entry, reason="one")).json()["id"]
    async with service.database.write() as tx:
        await service.service.components.suppression_list.remove_entry(tx, entry, "receipts of twilio", None, NOW)
    approved = await service.http.post(f"{REMOVALS}/{request}/approve", headers=service.handovers.key("privacy"))
    assert (approved.status_code, approved.json()["state"]) == (200, "void")


@pytest.mark.parametrize("reason", ["spam_complaint", "stop_keyword"])
async def test_what_the_customer_said_stays_without_a_new_consent(service: Running, reason: str) -> None:
    entry = await add(service, {**ADA, "reason": reason})
    for more in ({}, {"consent_of": "c-1"}):
        refused = await ask(service, entry, reason="they like us now", **more)
        assert (refused.status_code, refused.json()["code"]) == (409, "needs_new_consent")
    (question,) = service.handovers.consents
    assert (question.customer, question.channel, question.since) == ("c-1", "email", NOW)
    (digest,) = question.hashes
    service.handovers.consented = True
    request = (await ask(service, entry, reason="signed anew", consent_of="c-1")).json()
    path, other = f"{REMOVALS}/{request['id']}/approve", service.handovers.key("privacy")
    service.handovers.consented = False
    assert (await service.http.post(path, headers=other)).json()["code"] == "needs_new_consent"
    service.handovers.consented = True
    assert (await service.http.post(path, headers=other)).json()["state"] == "approved"
    asked = CustomerAddressHashes("c-1", (("email", digest),))
    assert (await service.client.get_facts([asked], {})).customers[0].entries == ()


async def test_the_consent_of_another_customer_is_none(service: Running) -> None:
    service.handovers.consented = True
    entry = await add(service, {"customer": "c-1", "reason": "spam_complaint", "scope": {"channel": "email"}})
    assert (await ask(service, entry, reason="r", consent_of="c-2")).status_code == 409
    assert (await ask(service, entry, reason="r", consent_of="c-1")).status_code == 202


async def test_who_may_ask_and_who_may_look(service: Running) -> None:
    entry = await add(service)
    for role, status in (("operator", 403), ("agent", 403), ("marketer", 403), ("privacy", 202)):
        headers = service.handovers.key(role)
        url = f"/v1/suppressions/{entry}"
        assert (await service.http.request("DELETE", url, json={"reason": "r"}, headers=headers)).status_code == status
    for role, status in (("operator", 200), ("marketer", 403)):
        assert (await service.http.get(REMOVALS, headers=service.handovers.key(role))).status_code == status


async def test_an_entry_of_a_receipt_says_so(service: Running) -> None:
    entry = ProviderEntry("c-1", "ada@example.org", "email", None, "hard_bounce", "twilio", NOW)
    await service.client.add_entries([entry], "receipts of twilio")
    (listed,) = (await service.http.get("/v1/suppressions")).json()["items"]
    assert (listed["automatic"], listed["added_by"], listed["at"]) == (True, "receipts of twilio", format_instant(NOW))
    request = (await ask(service, listed["id"], reason="the mailbox is back")).json()
    assert "next receipt" in request["notice"]
