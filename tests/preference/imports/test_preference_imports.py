"""Imports of customers and consents: each row does what its event would, once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.event import Event
from schemas.times import DAY, format_instant
from tests.support.preference_service import ADMIN_KEY, NOW, Running, change, running

pytestmark = pytest.mark.wired

CSV = {"Content-Type": "text/csv", "Authorization": f"Bearer {ADMIN_KEY}"}
LINES = {**CSV, "Content-Type": "application/x-ndjson"}
PAST = format_instant(NOW - 30 * DAY)
PROOF = {"source": "shop form", "wording": "newsletter-3", "basis": "consent"}
GRANT = {"customer": "c-1", "channel": "email", "topic": "news", "status": "granted", "at": PAST, **PROOF}


async def imported(service: Running, kind: str, body: bytes, headers: dict[str, str] = LINES, **query: Any) -> Any:
    """The job, once it has ended, with its results."""
    answer = await service.http.post(f"/v1/imports/{kind}", content=body, headers=headers, params=query)
    assert answer.status_code == 202, answer.text
    path = answer.headers["location"]
    async with asyncio.timeout(100):
        while (job := (await service.http.get(path, headers=CSV)).json())["finished"] is None:
            await asyncio.sleep(0.02)
    assert job["state"] == "done", job
    results = (await service.http.get(f"{path}/results", headers=CSV)).json()["items"]
    return job, [(row["row"], row["result"], row["code"], row["pointer"]) for row in results]


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def customer(service: Running, id: str) -> dict[str, Any]:
    return dict((await service.http.get(f"/v1/preferences/{id}")).json())


def erasure(customer: str) -> Event:
    return change("gone", customer, kind="customer.erased")


async def test_customers_are_imported_with_traits_and_addresses(at_work: Running) -> None:
    rows = (
        "customer;locale;country;zone;channel;address;verified;trait.Tier;traits\r\n"
        'c-1;de;DE;Europe/Berlin;email;ada@example.org;true;gold;"{""age"": 42}"\r\n'
        "c-1;;;;sms;0151 12345678;no;;\r\n"
        "c-2;xx-no-language-at-all;;;;;;;\r\n"
        "c-3;;;;email;not an address;;;\r\n"
        "c-4;;;;;;;;\r\n"
        "c-5;;;;email;eve@example.org;perhaps;;\r\n"
    )
    job, results = await imported(at_work, "customers", rows.encode(), CSV)
    assert [(row, result) for row, result, _, _ in results] == [
        (2, "added"), (3, "added"), (4, "refused"), (5, "refused"), (6, "refused"), (7, "refused")
    ]  # fmt: skip
    assert [code for _, result, code, _ in results if result == "refused"][1:] == [
        "unusable_address",
        "empty",
        "wrong_type",
    ]
    ada = await customer(at_work, "c-1")
    assert (ada["locale"], ada["country"], ada["zone"]) == ("de", "DE", "Europe/Berlin")
    assert ada["traits"] == {"Tier": "gold", "age": 42}
    assert ada["addresses"] == [
        {"channel": "email", "address": "ada@example.org", "verified": True},
        {"channel": "sms", "address": "0151 12345678", "verified": False},
    ]
    history = (await at_work.http.get("/v1/preferences/c-1/history")).json()["items"]
    assert {(each["source"], each["actor"], each["event_source"]) for each in history} == {
        ("import", "admin", f"imports/{job['id']}")
    }
    assert (job["added"], job["exists"], job["refused"]) == (2, 0, 4)


async def test_the_same_rows_again_are_there_already(at_work: Running) -> None:
    rows = lines({"customer": "c-1", "locale": "de", "traits": {"age": 42}, "at": PAST})
    assert [each[1] for each in (await imported(at_work, "customers", rows))[1]] == ["added"]
    assert [each[1] for each in (await imported(at_work, "customers", rows))[1]] == ["exists"]


async def test_what_is_known_from_later_stays(at_work: Running) -> None:
    answer = await at_work.http.patch("/v1/preferences/c-1", json={"locale": "fr"})
    assert answer.status_code == 201
    row = {"customer": "c-1", "locale": "de", "at": PAST}
    assert (await imported(at_work, "customers", lines(row)))[1] == [(1, "refused", "later_choice", "/at")]
    assert (await customer(at_work, "c-1"))["locale"] == "fr"


async def test_a_dry_run_says_the_same_and_changes_nothing(at_work: Running) -> None:
    rows = lines(
        {"customer": "c-1", "locale": "de"}, {"customer": "c-1", "locale": "de"}, {"customer": "c-2", "lang": "x"}
    )
    dry, rehearsed = await imported(at_work, "customers", rows, dry_run=True)
    async with at_work.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM preference_state UNION ALL SELECT 1 FROM preference_change") == []
    assert dry["dry_run"]
    assert (await imported(at_work, "customers", rows))[1] == rehearsed
    assert [result for _, result, _, _ in rehearsed] == ["added", "exists", "refused"]


async def test_consents_need_their_proof_and_opt_outs_need_nothing(at_work: Running) -> None:
    rows = (
        GRANT,
        {name: value for name, value in GRANT.items() if name != "wording"},
        {name: value for name, value in GRANT.items() if name != "at"},
        {**GRANT, "basis": "we think so"},
        {"customer": "c-2", "channel": "sms", "topic": "*", "status": "refused"},
        {"customer": "c-3", "status": "opted_out"},
        {"customer": "c-4", "status": "opted_out", "channel": "email", "class": "marketing"},
        {"customer": "c-4", "status": "opted_out", "class": "transactional"},
        {**GRANT, "at": format_instant(NOW + DAY)},
        {**GRANT, "imported": False},
    )
    _, results = await imported(at_work, "consents", lines(*rows))
    assert results == [
        (1, "added", None, None),
        (2, "refused", "missing", "/wording"),
        (3, "refused", "missing", "/at"),
        (4, "refused", "unknown_basis", "/basis"),
        (5, "added", None, None),
        (6, "added", None, None),
        (7, "added", None, None),
        (8, "refused", "cannot_switch_off", "/class"),
        (9, "refused", "bad_time", "/at"),
        (10, "refused", "unknown_field", ""),
    ]
    (consent,) = (await customer(at_work, "c-1"))["consent"]
    assert (consent["imported"], consent["at"], consent["wording"]) == (True, PAST, "newsletter-3")
    assert (await customer(at_work, "c-2"))["consent"][0]["status"] == "refused"
    assert (await customer(at_work, "c-3"))["opt_outs"] == [{"all": True}]
    assert (await customer(at_work, "c-4"))["opt_outs"] == [{"class": "marketing", "channel": "email"}]
    assert at_work.orchestrator.asked  # messages that were under way are through


async def test_an_imported_consent_does_not_undo_what_the_customer_chose_later(at_work: Running) -> None:
    later = format_instant(NOW - DAY)
    refusal = {"channel": "email", "topic": "news", "status": "refused", "at": later}
    kept = {"consent": [refusal], "opt_outs": [{"topic": "news"}]}
    assert (await at_work.http.patch("/v1/preferences/c-1", json=kept)).status_code == 201
    assert (await imported(at_work, "consents", lines(GRANT)))[1] == [(1, "added", None, None)]
    shown = (await at_work.http.get("/v1/preferences/c-1/consents")).json()["consents"]
    assert {(each["status"], each["state"]) for each in shown} == {("refused", "refused"), ("granted", "superseded")}
    assert (await customer(at_work, "c-1"))["opt_outs"] == [{"topic": "news"}]


async def test_an_old_opt_out_does_not_undo_a_later_choice(at_work: Running) -> None:
    assert (await at_work.http.patch("/v1/preferences/c-1", json={"opt_outs": [{"topic": "tips"}]})).status_code == 201
    old = {"customer": "c-1", "status": "opted_out", "topic": "news", "at": PAST}
    same = {"customer": "c-1", "status": "opted_out", "topic": "tips", "at": PAST}
    assert (await imported(at_work, "consents", lines(old, same)))[1] == [
        (1, "refused", "later_choice", "/at"),
        (2, "exists", None, None),
    ]


async def test_a_topic_that_the_policy_does_not_have_is_refused_without_its_name(at_work: Running) -> None:
    await at_work.doors.set_topics(1, [{"key": "news", "name": "News"}])
    answer = await at_work.http.post("/v1/imports/consents", content=lines({**GRANT, "topic": "nws"}), headers=LINES)
    path = answer.headers["location"]
    async with asyncio.timeout(100):
        while (await at_work.http.get(path, headers=CSV)).json()["finished"] is None:
            await asyncio.sleep(0.02)
    (row,) = (await at_work.http.get(f"{path}/results", headers=CSV)).json()["items"]
    assert (row["code"], row["pointer"], "nws" in row["detail"]) == ("unknown_topic", "/topic", False)


async def test_rows_of_erased_customers_are_refused(at_work: Running) -> None:
    await at_work.facts(["c-1"], await at_work.publish(erasure("c-1")))
    for kind, row in (("customers", {"customer": "c-1", "locale": "de"}), ("consents", GRANT)):
        assert (await imported(at_work, kind, lines(row)))[1] == [(1, "refused", "customer_erased", "/customer")]
    async with at_work.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM preference_state") == []


@pytest.mark.parametrize("kind", ["customers", "consents"])
async def test_only_privacy_and_admins_import(at_work: Running, kind: str) -> None:
    answer = await at_work.http.post(
        f"/v1/imports/{kind}", content=lines(GRANT), headers={"Content-Type": LINES["Content-Type"]}
    )
    assert answer.status_code == 403
    assert (await at_work.http.get(f"/v1/imports/{kind}")).status_code == 403


async def test_no_plain_row_is_kept_while_an_import_waits(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, reading=False) as service:
        rows = lines({"customer": "zqcustomer", "traits": {"zqname": "zqvalue"}})
        answer = await service.http.post("/v1/imports/customers", content=rows, headers=LINES)
        assert answer.status_code == 202
        async with service.database.read() as tx:
            for table in ("customer_import", "customer_import_part"):
                found = [tuple(row) for row in await tx.rows(f"SELECT * FROM {table}")]
                assert found
                assert "zq" not in repr(found)
