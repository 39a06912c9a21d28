"""The HTTP API of the do-not-contact list."""

import asyncio
import json

import pytest

from schemas.addresses import hash_address
from schemas.service_api import AddressLift, CustomerAddressHashes, ProviderEntry
from services.suppression.entry_registration import mask_address
from tests.support.suppression_service import ADDRESS_KEY, NOW, Running

ADA = {"address": "Ada@Example.ORG", "reason": "hard_bounce", "scope": {"channel": "email"}, "source": "sendgrid"}


def hashed(channel: str, address: str) -> tuple[str, str]:
    return channel, hash_address(ADDRESS_KEY.encode(), channel, address)


async def entries(service: Running, customer: str = "c-1", *addresses: tuple[str, str]):  # type: ignore[no-untyped-def]
    asked = CustomerAddressHashes(customer, tuple(hashed(*address) for address in addresses))
    return (await service.client.get_facts([asked], {})).customers[0].entries


@pytest.mark.wired
async def test_an_entry_of_a_customer_is_told_as_a_fact(service: Running) -> None:
    body = {
        "customer": "c-1",
        "reason": "manual",
        "scope": {"channel": "sms", "topic": "news", "classes": ["marketing"]},
    }
    answer = await service.http.post("/v1/suppressions", json=body)
    assert answer.status_code == 200
    assert answer.json() | {"id": ""} == {"id": "", "status": "added", "enforced": True}
    (entry,) = await entries(service)
    assert (entry.channel, entry.topic, entry.classes) == ("sms", "news", ("marketing",))
    assert (entry.at, entry.expires, entry.reason, entry.address) == (NOW, None, "manual", None)


@pytest.mark.wired
async def test_a_topic_that_the_policy_does_not_have_is_noted_and_asked_about_once(service: Running) -> None:
    service.handovers.missing = frozenset({"nwes"})
    entries = [{"customer": "c-1", "reason": "manual", "scope": {"topic": name}} for name in ("nwes", "news", "nwes")]
    note = {"pointer": "/scope/topic", "code": "no_effect", "detail": "the active policy has no topic `nwes`"}
    one = (await service.http.post("/v1/suppressions", json=entries[0])).json()
    assert (one["status"], one["enforced"], one["notes"]) == ("added", True, [note])
    many = (await service.http.post("/v1/suppressions", json=[{}, *entries])).json()
    assert [item.get("notes") for item in many["items"]] == [None, [note], None, [note]]
    assert [asked.topics for asked in service.handovers.names_asked] == [("nwes",), ("nwes", "news")]


@pytest.mark.wired
async def test_an_entry_is_made_also_where_it_cannot_be_audited_and_its_lack_is_logged(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    service.handovers.audits = False
    assert (await service.http.post("/v1/suppressions", json=ADA)).status_code == 200
    assert "audit_entry_missing" in [each.getMessage() for each in caplog.records]
    refused = await service.http.get("/v1/suppressions")
    assert (refused.status_code, refused.json()["code"]) == (503, "not_audited")
    service.handovers.audits = True
    assert len((await service.http.get("/v1/suppressions")).json()["items"]) == 1
    assert (await service.http.post("/v1/suppressions", json=ADA)).status_code == 200
    assert [each.event for each in service.handovers.audited][-2:] == ["asked", "answered"]
    await service.http.post("/v1/suppressions", json={"customer": "c-1", "reason": "legal", "scope": {}})
    answered = service.handovers.audited[-1]
    assert len(answered.about) == 1
    assert "c-1" not in answered.about


@pytest.mark.wired
async def test_the_same_entry_again_exists_and_is_enforced_as_well(service: Running) -> None:
    first = await service.http.post("/v1/suppressions", json=ADA)
    again = await service.http.post("/v1/suppressions", json=ADA | {"address": " ada@example.org"})
    assert (first.json()["status"], again.json()["status"]) == ("added", "exists")
    assert again.json()["enforced"] is True
    assert len(await entries(service, "c-9", ("email", "ada@example.org"))) == 1


@pytest.mark.wired
async def test_an_address_without_a_channel_is_suppressed_on_every_channel_where_it_is_one(service: Running) -> None:
    await service.http.post("/v1/suppressions", json={"address": "+447700900101", "reason": "stop_keyword"})
    number = "+447700900101"
    found = await entries(service, "c-1", ("email", "x@y.z"), ("sms", number), ("push", number))
    assert [entry.address for entry in found] == [1, 2]


@pytest.mark.wired
@pytest.mark.parametrize(
    ("given", "channel", "canonical"),
    [
        ("+44 7700 900101", "sms", "+447700900101"),
        ("+44 (0)7700-900101", None, "+447700900101"),
        ("Ada@BÜCHER.example", "email", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", None, "ada@xn--bcher-kva.example"),
    ],
)
async def test_an_entry_by_any_spelling_is_one_of_the_address(
    service: Running, given: str, channel: str | None, canonical: str
) -> None:
    scope = {} if channel is None else {"channel": channel}
    body = {"address": given, "scope": scope, "reason": "legal"}
    assert (await service.http.post("/v1/suppressions", json=body)).json()["status"] == "added"
    kind = "sms" if canonical.startswith("+") else "email"
    assert len(await entries(service, "c-1", (kind, canonical))) == 1
    again = (await service.http.post("/v1/suppressions", json=body | {"address": canonical})).json()["status"]
    is_also_a_token = channel is None and given != canonical  # which the spelling with blanks is not
    assert again == ("added" if is_also_a_token else "exists")


@pytest.mark.wired
@pytest.mark.parametrize(
    ("given", "channel", "code"),
    [
        ("0171 555", "sms", "country_unknown"),
        ("07700 900101", None, "country_unknown"),
        ("ada@shop.local", "email", "reserved_domain"),
        ("ada@", None, "not_an_email"),
        ("ada@example.org", "sms", "not_a_phone_number"),
    ],
)
async def test_what_is_no_address_is_refused_at_its_place(
    service: Running, given: str, channel: str | None, code: str
) -> None:
    scope = {} if channel is None else {"channel": channel}
    body = {"address": given, "scope": scope, "reason": "legal"}
    refused = await service.http.post("/v1/suppressions", json=body)
    (problem,) = refused.json()["errors"]
    assert (refused.status_code, problem["pointer"], problem["code"]) == (422, "/address", code)
    many = await service.http.post("/v1/suppressions", json=[body, ADA])
    assert [item["status"] for item in many.json()["items"]] == ["invalid", "added"]
    looked_up = await service.http.post("/v1/suppressions/lookup", json={"address": given, "channel": channel})
    assert (looked_up.status_code, looked_up.json()["errors"][0]["code"]) == (422, code)


@pytest.mark.wired
async def test_no_plain_address_is_kept_anywhere(service: Running) -> None:
    await service.http.post("/v1/suppressions", json=ADA)
    async with service.database.read() as tx:
        for table in ("suppression_entry", "address_entry", "customer_state", "idempotency"):
            rows = await tx.rows(f"SELECT * FROM {table}")
            assert "ada@" not in repr([tuple(row) for row in rows]).lower()


@pytest.mark.wired
async def test_people_see_an_address_masked(service: Running) -> None:
    await service.http.post("/v1/suppressions", json=ADA)
    (item,) = (await service.http.get("/v1/suppressions")).json()["items"]
    assert item["address_masked"] == "A***@Example.ORG"
    assert (item["added_by"], item["source"], item["reason"]) == ("admin", "sendgrid", "hard_bounce")
    assert item["scope"] == {"channel": "email"}


@pytest.mark.parametrize(
    ("address", "shown"),
    [("ada@example.org", "a***@example.org"), ("+491701234567", "***67"), ("@x", "***@x")],
)
def test_masks(address: str, shown: str) -> None:
    assert mask_address(address) == shown


@pytest.mark.wired
async def test_an_address_is_looked_up_in_the_body_not_in_the_url(service: Running) -> None:
    await service.http.post("/v1/suppressions", json=ADA)
    found = await service.http.post("/v1/suppressions/lookup", json={"address": "ada@example.org"})
    assert len(found.json()["items"]) == 1
    other = await service.http.post("/v1/suppressions/lookup", json={"address": "ada@example.org", "channel": "push"})
    assert other.json()["items"] == []


@pytest.mark.wired
async def test_an_address_is_looked_up_in_any_spelling(service: Running) -> None:
    await service.http.post("/v1/suppressions", json={"address": "+447700900101", "reason": "legal"})
    for spelling in ("+44 7700 900101", "+44 (0)7700 900101", "+447700900101"):
        found = await service.http.post("/v1/suppressions/lookup", json={"address": spelling, "channel": "sms"})
        assert len(found.json()["items"]) == 1


@pytest.mark.wired
@pytest.mark.parametrize(
    ("role", "one", "all_of_them", "write"),
    [("viewer", 403, 403, 403), ("agent", 200, 403, 403), ("auditor", 200, 200, 403), ("privacy", 200, 200, 200)],
)
async def test_roles(service: Running, role: str, one: int, all_of_them: int, write: int) -> None:
    """An agent sees the entries of a customer whom they have looked up."""
    headers = service.handovers.key(role)
    assert (await service.http.get("/v1/suppressions?customer=c-1", headers=headers)).status_code == one
    assert (await service.http.get("/v1/suppressions", headers=headers)).status_code == all_of_them
    assert (await service.http.post("/v1/suppressions", json=ADA, headers=headers)).status_code == write


@pytest.mark.wired
@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"address": None}, ""),
        ({"customer": "c-1"}, ""),
        ({"reason": "because"}, "/reason"),
        ({"reasn": "manual"}, "/reasn"),
        ({"scope": {"channel": "fax"}}, "/scope/channel"),
        ({"at": "yesterday"}, "/at"),
        ({"expires": "2020-01-01T00:00:00Z"}, "/expires"),
        ({"source": "a\x00b"}, "/source"),
        ({"mode": "drop"}, "/mode"),
    ],
)
async def test_a_wrong_entry_is_refused(service: Running, change: dict[str, object], pointer: str) -> None:
    body = {name: value for name, value in (ADA | change).items() if value is not None}
    answer = await service.http.post("/v1/suppressions", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.wired
async def test_half_a_surrogate_pair_is_refused(service: Running) -> None:
    raw = json.dumps(ADA).replace("sendgrid", "\\ud800")
    answer = await service.http.post("/v1/suppressions", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 422


@pytest.mark.wired
async def test_of_many_rows_each_stands_or_falls_alone(service: Running) -> None:
    rows = [ADA, {"customer": "c-1", "reason": "legal"}, {"customer": "c-1"}, ADA, 7]
    answer = (await service.http.post("/v1/suppressions", json=rows)).json()
    assert [item["status"] for item in answer["items"]] == ["added", "added", "invalid", "exists", "invalid"]
    assert answer["items"][2]["errors"][0]["pointer"] == "/reason"
    assert (answer["added"], answer["exists"], answer["invalid"], answer["enforced"]) == (2, 1, 2, True)


@pytest.mark.wired
async def test_ten_thousand_lines_are_taken_and_more_are_not(service: Running) -> None:
    lines = [json.dumps({"customer": f"c-{n % 7000}", "reason": "imported"}).encode() for n in range(10_000)]
    headers = {"content-type": "application/x-ndjson"}
    answer = await service.http.post("/v1/suppressions", content=b"\n".join(lines), headers=headers, timeout=60)
    assert (answer.json()["added"], answer.json()["exists"]) == (7000, 3000)
    assert len(await entries(service, "c-6999")) == 1
    more = await service.http.post("/v1/suppressions", content=b"\n".join([*lines, lines[0]]), headers=headers)
    assert more.status_code == 413


@pytest.mark.wired
async def test_a_line_that_is_not_json_is_told_as_its_row(service: Running) -> None:
    content = b'{"customer": "c-1", "reason": "legal"}\n\n{"customer": \n'
    headers = {"content-type": "application/x-ndjson"}
    answer = (await service.http.post("/v1/suppressions", content=content, headers=headers)).json()
    assert [item["status"] for item in answer["items"]] == ["added", "invalid"]


@pytest.mark.wired
async def test_an_empty_list_is_refused(service: Running) -> None:
    assert (await service.http.post("/v1/suppressions", json=[])).status_code == 422


@pytest.mark.wired
async def test_the_list_comes_in_pages_and_is_filtered(service: Running) -> None:
    rows = [{"customer": f"c-{n}", "reason": "legal" if n % 2 else "manual"} for n in range(7)]
    await service.http.post("/v1/suppressions", json=rows)
    seen, after = [], None
    while True:
        params = {"limit": "3"} | ({"after": after} if after else {})
        body = (await service.http.get("/v1/suppressions", params=params)).json()
        seen += [item["customer"] for item in body["items"]]
        after = body["next"]
        if after is None:
            break
    assert sorted(seen) == [f"c-{n}" for n in range(7)]
    legal = (await service.http.get("/v1/suppressions", params={"reason": "legal"})).json()["items"]
    assert len(legal) == 3
    assert (await service.http.get("/v1/suppressions", params={"after": "x"})).status_code == 422


@pytest.mark.wired
async def test_two_at_once_add_an_address_once(service: Running) -> None:
    await asyncio.gather(*(service.http.post("/v1/suppressions", json=ADA) for _ in range(8)))
    assert len(await entries(service, "c-1", ("email", "ada@example.org"))) == 1


@pytest.mark.wired
async def test_an_idempotency_key_gives_the_same_answer(service: Running) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await service.http.post("/v1/suppressions", json=ADA, headers=headers)
    again = await service.http.post("/v1/suppressions", json=ADA, headers=headers)
    assert again.json() == first.json()


@pytest.mark.wired
async def test_entries_are_counted_by_reason(service: Running) -> None:
    await service.http.post("/v1/suppressions", json=[ADA, {"customer": "c-1", "reason": "legal"}])
    await service.service.components.gauges.update_entries()
    assert service.metric("suppression_entries", list="hard_bounce") == 1
    assert service.metric("suppression_entries", list="legal") == 1
    assert service.metric("suppression_entries", list="manual") == 0


@pytest.mark.wired
async def test_entries_of_an_address_are_lifted_where_the_one_who_made_them_asks_for_it(service: Running) -> None:
    number = "+4915112345678"
    made = ProviderEntry("c-1", number, "sms", None, "stop_keyword", "twilio: unsubscribed", NOW)

    async def reasons() -> list[str]:
        return [entry.reason for entry in await entries(service, "c-9", ("sms", number))]

    await service.client.add_entries([made], "receipts of twilio")
    kept = [
        (AddressLift(number, "sms", NOW), "stop_keyword", "receipts of another"),
        (AddressLift(number, "sms", NOW), "hard_bounce", "receipts of twilio"),
        (AddressLift(number, "sms", NOW - 1), "stop_keyword", "receipts of twilio"),
        (AddressLift("+4915187654321", "sms", NOW), "stop_keyword", "receipts of twilio"),
    ]
    for lift, reason, added_by in kept:
        await service.client.lift_entries([lift], reason, added_by)
        assert await reasons() == ["stop_keyword"]
    for _ in range(2):
        await service.client.lift_entries([kept[0][0]], "stop_keyword", "receipts of twilio")
        assert await reasons() == []
    await service.client.add_entries([made], "receipts of twilio")
    assert await reasons() == ["stop_keyword"]


@pytest.mark.wired
async def test_each_undecided_reply_has_an_entry_that_is_lifted_alone(service: Running) -> None:
    number, reason, maker = "+4915112345678", "undecided_reply", "receipts of twilio"
    made = [ProviderEntry("c-1", number, "sms", ("marketing",), reason, "a reply", NOW - age) for age in (2, 1, 0)]
    for _ in range(2):
        await service.client.add_entries(made, maker)
    await service.client.lift_entries([AddressLift(number, "sms", NOW - 1)], reason, maker, only_then=True)
    left = sorted(entry.at for entry in await entries(service, "c-9", ("sms", number)))
    assert left == [NOW - 2, NOW]


@pytest.mark.wired
async def test_of_many_undecided_replies_any_entry_is_lifted(service: Running) -> None:
    number, reason, maker = "+4915112345678", "undecided_reply", "receipts of twilio"
    made = [ProviderEntry("c-1", number, "sms", ("marketing",), reason, "a reply", NOW - age) for age in range(1000)]
    await service.client.add_entries(made, maker)
    lifts = [AddressLift(number, "sms", NOW - age) for age in range(10)]
    await service.client.lift_entries(lifts, reason, maker, only_then=True)
    left = {entry.at for entry in await entries(service, "c-9", ("sms", number))}
    assert left == {NOW - age for age in range(10, 1000)}


@pytest.mark.wired
async def test_receipts_of_any_adapter_end_the_rest_after_soft_bounces_and_nothing_of_people(service: Running) -> None:
    mailbox, reason = "ada@example.org", "soft_bounces"
    for age, maker in ((1, "an operator"), (2, "receipts of smtp")):  # the older is not covered
        made = ProviderEntry("c-1", mailbox, "email", ("marketing",), reason, "bounces", NOW - age)
        await service.client.add_entries([made], maker)
    await service.client.lift_entries([AddressLift(mailbox, "email", NOW)], reason, "receipts of ses")
    assert [entry.at for entry in await entries(service, "c-9", ("email", mailbox))] == [NOW - 1]
