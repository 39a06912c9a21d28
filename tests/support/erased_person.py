"""A customer of whom something is in every corner of the product, so that an erasure has to find it there.

Each text of `PLANTED` stands nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from schemas.times import DAY, format_instant
from services.kit.bus.protocol import Outgoing
from tests.support.centre_form import press
from tests.support.document_builders import MONDAY, customer, event
from tests.support.live_product import CLOUD_EVENT, Live
from tests.support.plain_text_search import find_in_database, find_in_file

ADA = "marker-ada-lovelace"
MAIL, OLD_MAIL, PHONE = "marker.mail@example.org", "marker.old@example.org", "+4915112345678"
NAME, ORDER, REASON, CASE = "Märker Träit", "marker-order-4711", "marker-typed-reason", "marker-case-9"
PLANTED = (ADA, MAIL, OLD_MAIL, PHONE, NAME, ORDER, REASON, CASE, "marker-event-id")
HTML = '<p>{{ event.data.order }} <a href="{{ links.unsubscribe }}">Stop</a></p>'
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.filed"}], "ref": "data.case", "lapses": "5d"}


def person(key: str = ADA, **changes: Any) -> dict[str, Any]:
    """The customer's document, also under another id."""
    return customer(
        key,
        traits={"name": NAME, "order": ORDER},
        addresses=[
            {"channel": "email", "address": MAIL, "verified": True},
            {"channel": "sms", "address": PHONE, "verified": True},
        ],
        **changes,
    )


def of(kind: str, id: str, **data: Any) -> dict[str, Any]:
    """An event of the customer."""
    return event(kind, f"marker-event-id-{id}", subject=ADA, **data)


async def publish(product: Live, *documents: dict[str, Any]) -> None:
    """Publish to the log as a producer would, past the checks of the HTTP API."""
    values = [(each["subject"].encode(), json.dumps(each).encode()) for each in documents]
    await product.together.bus.publish([Outgoing("customer.events", key, value) for key, value in values])
    await product.settle()


async def fill(product: Live) -> None:
    """Leave something of the customer in every corner."""
    old = [{"channel": "email", "address": OLD_MAIL, "verified": True}]
    await product.customer(person() | {"addresses": old})
    await product.customer(person())
    await product.send(of("shop.offer", "1", order=ORDER))
    hold = {"key": "stop-later", "scope": {"campaigns": ["later"]}, "mode": "defer", "reason": "incident"}
    await product.ask("POST", "/v1/holds", hold)
    await product.send(of("shop.later", "2", order=ORDER))
    await product.send(of("shop.filed", "3", case=CASE))
    await product.send(of("tactful.feedback.given", "4", score=3, text=REASON))
    await product.send(of("tactful.contact.reported", "5", channel="phone", **{"class": "service"}))
    await product.send(of("tactful.preference.changed", "6", opt_outs=[{"channel": "sms"}]))
    asked = {"channel": "email", "topic": "news", "wording": "newsletter-3", "source": REASON}
    await product.ask("POST", f"/v1/preferences/{ADA}/consents/requests", asked)
    entry = {"customer": ADA, "scope": {"channel": "push"}, "reason": "manual", "source": REASON}
    await product.ask("POST", "/v1/suppressions", entry)
    body = {"campaign": "offer", "customer": ADA, "event": {"data": {"order": ORDER}}}
    await product.ask("POST", "/v1/preview", body, headers={"Idempotency-Key": "preview"})
    await publish(
        product,
        of("tactful.customer.identified", "7", traits={"name": NAME}, zone="Nowhere/Marker-order-4711"),
        of("tactful.situation.opened", "8") | {"data": {"kind": CASE}},
        of("tactful.contact.reported", "9", channel=ORDER),
        of("shop.offer", "10") | {"time": format_instant(MONDAY + 9 * DAY), "data": {"order": ORDER}},
    )
    await insert_reports(product)


async def insert_reports(product: Live) -> None:
    """A simulation and a violation, which take a long time to come about."""
    async with product.database.write() as tx:
        await tx.execute(
            "INSERT INTO simulation (id, state, requested_by, asked, request, created, seen, tries, progress, result) "
            "VALUES ('sim-1', 'done', 'ann', :asked, :asked, 1, 1, 1, 1000, :result)",
            asked=json.dumps({"customers": [ADA]}).encode(),
            result=b"{}",
        )
        await tx.execute(
            "INSERT INTO violation (invariant, subject, customer, rule, detail, marked_at, found) "
            "VALUES ('ledger_differs', :ada, :ada, 'ledger', :detail, 1, 1)",
            ada=ADA,
            detail=REASON,
        )
        await tx.execute(
            "INSERT INTO undecided_reply (receipt_key, message_id, customer, adapter, channel, address, text, at, "
            "received, held_from, state) VALUES ('twilio:1', 'msg_1', :ada, 'twilio', 'sms', :phone, :text, 1, 1, 1, "
            "'undecided')",
            ada=ADA,
            phone=PHONE,
            text=REASON,
        )


async def fill_newest(product: Live) -> None:
    """And in the corners of consents, the preference centre, lists, imports, removals, exports and the audit log."""
    proof = {"source": REASON, "wording": REASON, "basis": "consent", "evidence": {"form": f"https://e.org/{ORDER}"}}
    given = {"topic": "news", "channel": "push", "status": "granted", "at": format_instant(MONDAY), **proof}
    known = await product.ask("GET", f"/v1/preferences/{ADA}")
    await product.ask("PATCH", f"/v1/preferences/{ADA}", {"consent": [*known["consent"], given]})
    links = product.together.orchestrator.components.links(ADA, "news", "marketing", product.clock.now())
    page = links["preferences"].partition("/p/")[2]
    assert (await press(product.editor, f"/p/{page}", "pause", 0)).status_code == 200
    lines = (
        "customer,address,reason,note",
        f"{ADA},,manual,{REASON}",
        f",{PHONE},legal,{REASON}",
        f",{MAIL} no,legal,",
    )
    rows = "\n".join(lines)
    headers = {"content-type": "text/csv"}
    taken = await product.editor.post("/v1/suppressions/imports", content=rows.encode(), headers=headers)
    await until_finished(product, f"/v1/suppressions/imports/{taken.json()['id']}")
    for kind, row in (
        ("customers", f"customer,channel,address,trait.name\n{ADA},email,{MAIL},{REASON}\n{ADA},sms,{MAIL},\n"),
        ("consents", f"customer,channel,topic,status,wording\n{ADA},email,news,refused,{REASON}\n{ADA},x,y,z,{MAIL}\n"),
    ):
        taken = await product.editor.post(f"/v1/imports/{kind}", content=row.encode(), headers=headers)
        await until_finished(product, f"/v1/imports/{kind}/{taken.json()['id']}")
    for whom in ({"customer": ADA}, {"address": OLD_MAIL}):
        listed = await product.ask("POST", "/v1/suppressions", {**whom, "reason": "legal", "note": REASON})
        asked = await product.editor.request(
            "DELETE", f"/v1/suppressions/{listed['id']}", json={"reason": f"{REASON} of {MAIL}"}
        )
        assert asked.status_code == 202, asked.text
    made = await product.ask("POST", f"/v1/customers/{ADA}/exports")
    path = f"/v1/customers/{ADA}/exports/{made['id']}"
    async with asyncio.timeout(60):
        while (await product.ask("GET", path))["state"] != "done":
            await asyncio.sleep(0.05)
    assert ADA in (await product.editor.get(f"{path}/file")).text
    await product.ask("POST", "/v1/suppressions/lookup", {"address": MAIL})


async def until_finished(product: Live, path: str) -> None:
    """Wait until a job has come to its end."""
    async with asyncio.timeout(60):
        while (await product.ask("GET", path))["finished"] is None:
            await asyncio.sleep(0.05)


async def erase(product: Live, id: str = "erase") -> dict[str, Any]:
    """Erase the customer over HTTP, and wait until every service has."""
    sent = of("tactful.customer.erased", id)
    headers = {**CLOUD_EVENT, "Idempotency-Key": id}
    answer = await product.editor.post("/v1/events?wait=30s", content=json.dumps(sent), headers=headers)
    assert answer.status_code == 202, answer.text
    return await finished(product)


async def finished(product: Live) -> dict[str, Any]:
    """Wait until every service has erased the customer."""
    async with asyncio.timeout(20):
        while True:
            shown: dict[str, Any] = await product.ask("GET", f"/v1/erasures/{ADA}")
            if shown["finished"]:
                return shown
            await asyncio.sleep(0.05)


async def found_in_databases(product: Live) -> set[tuple[str, str, str, str]]:
    """(service, table, column, text) of all that is found."""
    return {
        (name, *each)
        for name, database in product.together.databases.items()
        for each in await find_in_database(database, PLANTED)
    }


async def found_in_log(tmp_path: Path) -> set[tuple[str, str, str]]:
    """What is still in the embedded log once its own job has had its turn."""
    for _ in range(100):
        if not (found := find_in_file(tmp_path / "log.db", PLANTED)):
            break
        await asyncio.sleep(0.1)
    return found
