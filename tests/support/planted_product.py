"""A running product in which each value that only some readers may see is planted once, under a mark of its own.

A mark is a word that stands nowhere else, so an answer that holds it shows that value, wherever it stands. Kinds of
values are those of `services.kit.http.answer_types.FieldClass`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from schemas.campaign_scope import CampaignScope
from schemas.message import Message
from schemas.roles import Role
from schemas.times import HOUR, format_instant
from services.kit.bus.protocol import Outgoing
from services.orchestrator.access import api_keys
from services.orchestrator.delivery.adapters.sandbox import store as sandbox_store
from services.orchestrator.sign_in import store as people_store
from services.orchestrator.sign_in.store import Person
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

PERSONAL = (
    *("zqname", "zqtrait", "zqaddress", "zqwording", "zqevidence", "zqconsent", "zqreference", "zqdata", "zqletter"),
    *("zqheader", "zqbounced", "zqentry", "zqreply"),
)
"""What is known of customers, what their events say, and what was written to them."""
_LINK = re.compile(r"https?://[^\s\"'<>]*/[upc]/([A-Za-z0-9_\-.]{20,})")


@dataclass
class Planted:
    """The product, a key for each role, what names its objects have, and the secrets that nobody reads."""

    live: Live
    keys: dict[Role, str]
    names: dict[str, str] = field(default_factory=dict)
    """By the name of a parameter of paths: an object that exists."""
    links: set[str] = field(default_factory=set)
    """Tokens of links that act for a customer."""
    secrets: set[str] = field(default_factory=set)


@asynccontextmanager
async def planted_product(directory: Path, urls: Mapping[str, str] | None = None) -> AsyncIterator[Planted]:
    """Starts the product on files, or on the databases at `urls`, and plants everything."""
    async with live(directory, MONDAY, urls) as product:
        keys = {}
        for role in Role:
            _, keys[role] = await api_keys.create_key(product.database, f"the-{role}", role, "tests", MONDAY)
        planted = Planted(product, keys)
        await _plant_documents(product)
        await _plant_customers(product, planted)
        await _plant_events(product)
        await _plant_letters(product, planted)
        await _plant_evaluations(product, planted)
        await _plant_paper(product, planted)
        await _name_objects(product, planted)
        yield planted


async def _plant_documents(product: Live) -> None:
    complaint = {
        "kind": "complaint",
        "opens": [{"event": "shop.complaint"}],
        "closes": [{"event": "shop.resolved"}],
        "ref": "data.case",
        "lapses": "90d",
    }
    never = {"after": {"situation": "complaint"}, "within": "30d", "while_open": True}
    rule = {"id": "after-complaint", "scope": {"topics": ["news"]}, "never": never, "on_match": "drop"}
    await product.policy(policy(situations=[complaint], contact_history=[rule]))
    html = '<p>{{ event.data.gift }} {{ customer.traits.plan }}</p><p><a href="{{ links.unsubscribe }}">Stop</a></p>'
    content = {"email": {"en": {"subject": "Hello {{ customer.traits.name }}", "html": html}}}
    condition = {"event": "shop.offer", "when": 'event.data.gift != "none"'}
    await product.campaign(campaign(content=content, trigger=condition))
    await product.campaign(campaign("vip", content=content, audience='customer.traits.plan == "gold"'))
    numbers = {"email": {"en": {"subject": "{{ event.data.gift | plus: 1 }}", "html": html}}}
    await product.campaign(campaign("broken", content=numbers))


async def _plant_customers(product: Live, planted: Planted) -> None:
    consent = {"topic": "news", "status": "granted", "at": "2026-01-01T00:00:00Z", "channel": "email"}
    for number in range(1, 4):
        address = {"channel": "email", "address": f"zqaddress{number}@example.org", "verified": True}
        await product.customer(
            customer(
                f"c-{number}",
                traits={"name": "zqname", "plan": "zqtrait"},
                addresses=[address],
                consent=[
                    {
                        **consent,
                        "wording": "zqwording",
                        "source": "zqconsent",
                        "basis": "consent",
                        "evidence": {"form": "https://shop.example/zqevidence"},
                    }
                ],
            )
        )
    entry = {"address": "zqentry@example.org", "reason": "manual", "scope": {"channel": "email"}}
    await product.ask("POST", "/v1/suppressions", entry)
    listed = await product.ask("POST", "/v1/suppressions", {"customer": "c-3", "reason": "legal", "scope": {}})
    removal = await product.editor.request("DELETE", f"/v1/suppressions/{listed['id']}", json={"reason": "a try"})
    planted.names["removal"] = removal.json()["id"]
    entries = "address,reason,note\nzqentry@example.org,legal,called\nzqentry,zqentry,\n"
    planted.names["import"] = await _plant_import(product, "/v1/suppressions/imports", entries)
    customers = "customer,address,channel,at\nc-1,zqimport,email,zqimport\n"
    planted.names["customer_import"] = await _plant_import(product, "/v1/imports/customers", customers)
    consents = "customer,status,topic,wording\nc-1,granted,news,zqimport\n"
    planted.names["consent_import"] = await _plant_import(product, "/v1/imports/consents", consents)
    situations = "customer,kind,opened,reason\nc-1,zqimport,zqimport,zqimport\n"
    planted.names["situation_import"] = await _plant_import(product, "/v1/imports/situations", situations)
    contacts = "customer,at,channel,class,campaign\nc-1,zqimport,zqimport,marketing,zqimport\n"
    planted.names["contact_import"] = await _plant_import(product, "/v1/imports/contacts", contacts)
    asked = {"channel": "email", "topic": "news", "wording": "zqwording", "source": "zqconsent"}
    await product.ask("POST", "/v1/preferences/c-1/consents/requests", asked)
    added = await product.ask("POST", "/v1/preferences/c-1/addresses", {"channel": "sms", "address": "+4915112345678"})
    planted.names["address"] = added["id"]
    hold = {"key": "outage", "mode": "defer", "from": format_instant(MONDAY), "reason": "an outage"}
    await product.ask("POST", "/v1/holds", {**hold, "scope": {"campaigns": ["later"]}})


async def _plant_import(product: Live, path: str, rows: str) -> str:
    taken = await product.editor.post(path, content=rows.encode(), headers={"Content-Type": "text/csv"})
    id = str(taken.json()["id"])
    async with asyncio.timeout(60):
        while (await product.ask("GET", f"{path}/{id}"))["finished"] is None:
            await asyncio.sleep(0.05)
    return id


async def _plant_events(product: Live) -> None:
    await product.send(event("shop.offer", "e-1", gift="zqdata"))
    await product.send(event("shop.vip", "e-2", gift="zqdata"))
    await product.send(event("shop.broken", "e-3", subject="c-2", gift="zqdata"))
    await product.send(event("shop.complaint", "e-4", subject="c-2", case="zqreference"))
    await product.send(event("shop.offer", "e-5", subject="c-2", gift="zqdata"))
    await product.send(event("shop.offer", "e-6", subject="c-3", gift="zqdata"))
    await product.send(event("shop.nobody.cares", "e-7", gift="zqdata"))
    await product.send(event("tactful.customer.erased", "e-9", subject="gone"))
    await product.settle()
    async with product.database.write() as tx:
        await tx.execute(
            "INSERT INTO undecided_reply (receipt_key, message_id, customer, adapter, channel, address, text, at, "
            "received, held_from, state) VALUES ('twilio:1', 'msg_1', 'c-1', 'twilio', 'sms', '+4915112345678', "
            "'zqreply', :now, :now, :now, 'undecided')",
            now=MONDAY,
        )
    for table in ("message", "attempt"):
        async with product.database.write() as tx:
            await tx.execute(f"UPDATE {table} SET detail = '550 <zqbounced@example.org>: no such mailbox'")
    async with product.database.write() as tx:
        for row in await tx.rows("SELECT handover_id, messages FROM handover"):
            said = {each: [None, "550 <zqbounced@example.org>: no such mailbox"] for each in json.loads(row.messages)}
            await tx.execute(
                "UPDATE handover SET results = :said WHERE handover_id = :id", said=json.dumps(said), id=row.handover_id
            )


async def _plant_letters(product: Live, planted: Planted) -> None:
    wrong = {
        "tactful.preference.changed": {
            "opt_outs": [{"topic": "zqletter", "other_field": "zqletter"}],
            "locale": "zqletter",
        },
        "shop.offer": "zqletter",
        "tactful.contact.reported": {"channel": "zqletter", "other_field": "zqletter"},
        "tactful.customer.identified": {"addresses": [{"channel": "email", "address": "zqletter@"}]},
        "tactful.situation.opened": {"kind": "zqletter"},
    }
    records = [
        Outgoing(
            "customer.events",
            b"c-1",
            json.dumps({**event(kind, f"letter-{number}"), "data": data}).encode(),
            (("note", b"zqheader"),),
        )
        for number, (kind, data) in enumerate(wrong.items())
    ]
    unreadable = {**event("shop.offer", "letter-9", gift="zqletter"), "time": "zqletter"}
    records.append(Outgoing("customer.events", b"c-1", json.dumps(unreadable).encode()))
    records.append(Outgoing("customer.events", b"c-1", b'{"zqletter": zqletter'))
    await product.together.bus.publish(records)
    await product.settle()


async def _plant_evaluations(product: Live, planted: Planted) -> None:
    """A version in shadow, a simulation of what was recorded, and a redrive that cannot succeed."""
    html = '<p>{{ event.data.gift }}</p><p><a href="{{ links.unsubscribe }}">Stop</a></p>'
    content = {"email": {"en": {"subject": "{{ event.data.gift | plus: 1 }}", "html": html}}}
    await product.ask("PUT", "/v1/campaigns/offer", campaign(content=content))
    await product.ask("POST", "/v1/campaigns/offer/submit")
    assert (await product.reviewer.post("/v1/campaigns/offer/approve")).status_code == 200
    await product.ask("POST", "/v1/campaigns/offer/shadow")
    await product.send(event("shop.offer", "e-8", gift="zqdata"))
    letters = (await product.ask("GET", "/v1/dead-letters"))["items"]
    letter = next(each["id"] for each in letters if each["event"]["id"] == "letter-0")
    planted.names["letter"] = letter
    job = await product.ask("POST", f"/v1/dead-letters/{letter}/redrive", {"reason": "a try"})
    planted.names["job"] = job["id"]
    await product.at(MONDAY + HOUR)
    asked = {"from": format_instant(MONDAY - HOUR), "to": format_instant(MONDAY + HOUR), "campaigns": [campaign()]}
    simulation = await product.ask("POST", "/v1/simulations", asked)
    planted.names["simulation"] = simulation["id"]
    await product.settle()
    async with asyncio.timeout(60):
        while (await product.ask("GET", f"/v1/simulations/{simulation['id']}"))["finished"] is None:
            await asyncio.sleep(0.1)


async def _plant_paper(product: Live, planted: Planted) -> None:
    """A message in the sandbox that the inbox can draw."""
    planted.names["paper"] = "msg_paper"
    content = {"subject": "Your contract", "html": "<p>Hello</p>", "format": "din_5008_b"}
    to = "zqname, 1 Example Street"
    drawn = Message(
        *("msg_paper", "c-1", "offer", 1, "letter", "service", to), content, event_source="/shop", event_id="e-1"
    )
    async with product.database.write() as tx:
        await sandbox_store.insert_messages(tx, [drawn], MONDAY - HOUR)


_SIGNED_IN = Person(
    *("person_planted", "https://login.example.org", "subject-1", "grace", Role.MARKETER, "makers"),
    *(CampaignScope(("news",), ("shop",)), MONDAY, MONDAY),
)
"""Somebody who has signed in by the company's sign-in."""


async def _name_objects(product: Live, planted: Planted) -> None:
    messages = (await product.ask("GET", "/v1/messages"))["items"]
    decisions = await product.decisions()
    planted.names["message"] = messages[0]["message_id"]
    planted.names["decision"] = str(decisions[-1]["decision_id"])
    planted.names["entry"] = (await product.ask("GET", "/v1/suppressions"))["items"][0]["id"]
    asked = await product.ask("POST", "/v1/customers/c-1/exports")
    planted.names["export"] = asked["id"]
    async with asyncio.timeout(60):
        while (await product.ask("GET", f"/v1/customers/c-1/exports/{asked['id']}"))["state"] != "done":
            await asyncio.sleep(0.1)
    planted.names["key"] = (await product.ask("POST", "/v1/keys", {"name": "spare", "role": "viewer"}))["id"]
    async with product.database.write() as tx:
        await people_store.insert_person(tx, _SIGNED_IN)
    planted.names["person"] = _SIGNED_IN.id
    text = {"text": "Yes, send me news.", "locale": "en"}
    planted.names["wording"] = (await product.ask("PUT", "/v1/consents/wordings", text))["key"]
    planted.links = set(_LINK.findall(json.dumps(messages)))
    planted.secrets = {*planted.keys.values()}
