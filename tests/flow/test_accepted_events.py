"""What HTTP says of an event: refused with every bad part, or accepted, and then it can be asked about."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.times import HOUR
from services.kit.bus.protocol import Outgoing
from services.orchestrator.decisions.accepted_events import RETENTION, AcceptedEventExpiry
from services.preference.store import get_states
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import CLOUD_EVENT, Live, live

pytestmark = pytest.mark.wired

BATCH = {"Content-Type": "application/cloudevents-batch+json"}
PROOF = {"source": "checkout", "wording": "newsletter-3"}
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.filed"}], "lapses": "5d"}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy(situations=[COMPLAINT]))
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


def raw(kind: str, data: Any) -> str:
    return json.dumps(event(kind, "e-1") | {"data": data})


@pytest.mark.parametrize(
    ("kind", "data", "pointers"),
    [
        ("tactful.customer.identified", {"zone": "Berln", "country": "UK", "locale": "deutsch"},
         ["/data/locale", "/data/country", "/data/zone"]),
        ("tactful.customer.identified", {"traits": {"a": {"b": ["\ud800"]}}}, ["/data/traits/a/b/0"]),
        ("tactful.customer.identified", {"traits": {"\x00": 1}}, ["/data/traits/?"]),
        ("tactful.customer.identified", {"addresses": [{"channel": "email", "address": "ada@"}]},
         ["/data/addresses/0/address"]),
        ("tactful.customer.identified", {"timezone": "Europe/Berlin"}, ["/data/timezone"]),
        ("tactful.customer.identified", {"opt_outs": []}, ["/data/opt_outs"]),
        ("tactful.preference.changed", {}, ["/data"]),
        ("tactful.preference.changed", {"optOuts": [{"all": True}]}, ["/data/optOuts"]),
        ("tactful.preference.changed", {"opt_outs": [{"topic": "x"}, {}], "frequency": {"limit": 0, "per": "day"}},
         ["/data/opt_outs/1", "/data/frequency/limit"]),
        ("tactful.preference.changed", [1], ["/data"]),
        ("tactful.contact.reported", {"channel": "pigeon", "class": "promo"}, ["/data/channel", "/data/class"]),
        ("tactful.contact.reported", {"channel": "fax", "class": "service", "at": "1999-01-01T00:00:00Z"},
         ["/data/at"]),
        ("tactful.contact.reported", {"channel": "phone", "class": "service", "at": 5}, ["/data/at"]),
        ("tactful.situation.opened", {"kind": "complain"}, ["/data/kind"]),
        ("tactful.situation.opened", {}, ["/data/kind"]),
        ("tactful.feedback.given", {"score": "9"}, ["/data/score"]),
        ("tactful.feedback.given", {"score": True}, ["/data/score"]),
        ("tactful.prefrence.changed", {"opt_outs": []}, ["/type"]),
        ("Tactful.Preference.Changed", {"opt_outs": []}, ["/type"]),
        (" tactful.customer.erased", {}, ["/type"]),
        ("shop.offer", {"a": "\x00"}, ["/data/a"]),
    ],
)  # fmt: skip
async def test_an_event_with_bad_parts_is_refused_with_all_of_them(
    product: Live, kind: str, data: Any, pointers: list[str]
) -> None:
    answer = await product.editor.post("/v1/events", content=raw(kind, data), headers=CLOUD_EVENT)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == pointers
    batch = await product.editor.post("/v1/events", content=f"[{raw(kind, data)}]", headers=BATCH)
    (item,) = batch.json()["items"]
    assert (item["status"], [each["pointer"] for each in item["errors"]]) == ("invalid", pointers)
    assert (await product.ask("GET", "/v1/dead-letters"))["items"] == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("tactful.customer.identified", {"zone": "Pacific Standard Time", "locale": "en-US-u-mu-celsius"}),
        ("tactful.customer.identified", {"country": "de"}),
        ("tactful.customer.identified", {"addresses": [{"channel": "sms", "address": "0171 5550100"}]}),
        ("tactful.customer.erased", {"reason": "gdpr", "ticket": 7}),
        ("tactful.customer.erased", [1]),
        ("tactful.customer.erased", {"note": "\ud800", "a": 2**70}),
        ("tactful.contact.reported", {"channel": "Post", "class": "service"}),
        ("tactful.feedback.given", {"score": 9.5, "scale": "0-10"}),
        ("tactful.message.delivered", {}),
    ],
)  # fmt: skip
async def test_what_is_accepted_is_applied(product: Live, kind: str, data: Any) -> None:
    await product.send(raw(kind, data))
    await product.settle()
    assert (await product.ask("GET", "/v1/dead-letters"))["items"] == []


async def test_every_accepted_event_can_be_asked_about(product: Live) -> None:
    for number, kind in enumerate(["shop.offer", "shop.ofer", "shop.filed", "tactful.preference.changed"]):
        data: dict[str, Any] = {"locale": "de"} if kind.startswith("tactful") else {}
        item = await product.send(event(kind, f"e-{number}", **data))
        found = await product.ask("GET", item["status_url"])
        assert (found["event_id"], found["type"], found["status"], found["decided"]) == (
            f"e-{number}",
            kind,
            "accepted",
            True,
        )
        assert bool(found["decisions"]) == (kind == "shop.offer")
        for answer in (item, found):
            assert [note["code"] for note in answer["notes"]] == (["nothing_listens"] if kind == "shop.ofer" else [])
    (note,) = (await product.ask("GET", "/v1/events?source=/shop&id=e-1"))["notes"]
    assert note["nearest"][0] == "shop.offer" and "`shop.offer`" in note["detail"]


async def test_an_event_that_no_condition_lets_through_is_told_why(product: Live) -> None:
    await product.campaign(campaign("order", trigger={"event": "shop.order", "when": "event.data.total >= 50"}))
    notes: dict[str, list[tuple[str, str, str]]] = {}
    sent: list[dict[str, Any]] = [{"totl": 80}, {"total": 8}, {"total": 80}, {"total": "80"}]
    for number, data in enumerate(sent):
        item = await product.send(event("shop.order", f"e-{number}", **data))
        assert bool(item["decisions"]) is not bool(item["notes"])
        notes |= {item["event_id"]: [(note["pointer"], note["code"], note["detail"]) for note in item["notes"]]}
    condition = "the condition of its trigger is false{}: event.data.total >= 50"
    missing = condition.format(", because `event.data.total` has no value")
    assert notes == {
        "e-0": [("/data", "not_triggered", f"`order`: {missing}")],
        "e-1": [("/data", "not_triggered", f"`order`: {condition.format('')}")],
        "e-2": [],
        "e-3": [],
    }
    why = await product.editor.get("/v1/why?source=/shop&event=e-0")
    assert why.status_code == 404 and "was accepted at" in why.json()["detail"]


@pytest.mark.parametrize("when", ["customer.country == 'FR'", "event.data.total > 5 && customer.id == 'x'"])
async def test_a_condition_on_the_customer_is_not_guessed(product: Live, when: str) -> None:
    await product.campaign(campaign("order", trigger={"event": "shop.order", "when": when}))
    assert (await product.send(event("shop.order", "e-1", total=1)))["notes"] == []


async def test_a_field_that_nothing_reads_is_noted(product: Live) -> None:
    item = await product.send(event("tactful.preference.changed", "e-1", locale="de", requested_by="agent-7"))
    assert [note["pointer"] for note in item["notes"]] == ["/data/requested_by"]


async def test_a_number_in_national_form_may_be_one_of_the_customers_country(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY, region="GB") as product:
        await product.policy(policy())
        for name, changes, canonical in (("c-1", {"country": "FR"}, "+33612345678"), ("c-2", {}, None)):
            await product.customer(customer(name, **changes))
            number = {"channel": "sms", "address": "06 12 34 56 78"}
            item = await product.send(event("tactful.customer.identified", "e-1", subject=name, addresses=[number]))
            assert [note["pointer"] for note in item["notes"]] == ["/data/addresses/0/address"]
            await product.settle()
            async with product.together.databases["preference"].read() as tx:
                known = (await get_states(tx, [name], "GB"))[name].preference.addresses
            assert [each.canonical for each in known if each.channel == "sms"] == [canonical]


async def test_a_choice_that_no_rule_reads_is_noted(product: Live) -> None:
    topics = [{"key": "news", "name": "News"}, {"key": "notices", "name": "Notices", "required": True}]
    await product.policy(policy(topics=topics))
    opt_outs = [{"topic": "nwes"}, {"topic": "notices"}, {"channel": "sms", "topic": "notices"}, {"topic": "news"}]
    opt_outs += [{"class": "transactional"}, {"class": "marketing"}]
    consent = [
        {"channel": "email", "topic": topic, "status": "granted", "at": "2026-01-01T00:00:00Z", **PROOF}
        for topic in "*x"
    ]
    item = await product.send(event("tactful.preference.changed", "e-1", opt_outs=opt_outs, consent=consent))
    assert {note["pointer"]: note["code"] for note in item["notes"]} == dict.fromkeys(
        [
            "/data/opt_outs/1/topic",
            "/data/opt_outs/2/topic",
            "/data/opt_outs/4/class",
            "/data/opt_outs/0/topic",
            "/data/consent/1/topic",
        ],
        "no_effect",
    )
    assert "did you mean `news`" in item["notes"][3]["detail"]


async def test_an_event_of_which_nothing_came_is_known_for_a_week(product: Live) -> None:
    await product.send(event("shop.nobody", "e-1"))
    expiry = AcceptedEventExpiry(product.database, product.clock)
    await product.at(MONDAY + RETENTION - HOUR)
    await expiry.delete_expired()
    assert (await product.editor.get("/v1/events?source=/shop&id=e-1")).status_code == 200
    await product.at(MONDAY + RETENTION + HOUR)
    await expiry.delete_expired()
    assert (await product.editor.get("/v1/events?source=/shop&id=e-1")).status_code == 404


async def test_a_phone_call_counts_where_no_channel_is_named_and_where_its_own_is(tmp_path: Path) -> None:
    week = {"rolling": "7d"}
    caps = [
        {"id": "all", "scope": {}, "limit": 2, "window": week, "on_exceed": "drop"},
        {"id": "calls", "scope": {"channels": ["email", "phone"]}, "limit": 1, "window": week, "on_exceed": "drop"},
    ]
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy(frequency_caps=caps))
        await product.campaign(campaign())
        for name, channel, rule in (("c-1", "call", "calls"), ("c-2", "letter", None)):
            await product.customer(customer(name))
            reported: dict[str, Any] = {"channel": channel, "class": "service"}
            await product.send(event("tactful.contact.reported", f"r-{name}", subject=name, **reported))
            item = await product.send(event("shop.offer", f"o-{name}", subject=name))
            assert [each["rule_id"] for each in item["decisions"]] == [rule]
        contacts = (await product.ask("GET", "/v1/contacts/c-1"))["contacts"]
        assert [(each["channel"], each["reported"]) for each in contacts] == [("phone", True)]
        page = await product.editor.get("/console/customers?id=c-1")
        assert page.status_code < 500


async def test_from_the_log_the_customer_is_quarantined_until_the_letter_is_closed(product: Live) -> None:
    line = raw("tactful.preference.changed", {"optouts": [{"all": True}]})
    await product.together.bus.publish([Outgoing("customer.events", b"c-1", line.encode())])
    await product.settle()
    (stopped,) = (await product.send(event("shop.offer", "o-1")))["decisions"]
    assert (stopped["outcome"], stopped["reason"]) == ("suppress", "quarantined")
    why = await product.ask("GET", "/v1/why?customer=c-1&campaign=offer")
    assert "quarantined" in json.dumps(why) and "paused" not in json.dumps(why)
    (letter,) = (await product.ask("GET", "/v1/dead-letters"))["items"]
    assert [each["pointer"] for each in letter["problems"]] == ["/data/optouts"]
    await product.ask("POST", f"/v1/dead-letters/{letter['id']}/discard", {"reason": "asked the customer"})
    (sent,) = (await product.send(event("shop.offer", "o-2")))["decisions"]
    assert sent["outcome"] == "send"


async def test_a_quarantine_of_suppression_ends_with_its_letter_too(product: Live) -> None:
    await product.together.bus.publish([Outgoing("customer.events", b"c-1", b"not json")])
    await product.settle()
    shown = await product.ask("GET", "/v1/situations/c-1")
    assert [each["record"]["topic"] for each in shown["quarantine"]] == ["customer.events"]
    (letter,) = (await product.ask("GET", "/v1/dead-letters"))["items"]
    await product.ask("POST", f"/v1/dead-letters/{letter['id']}/discard", {"reason": "a test"})
    assert (await product.ask("GET", "/v1/situations/c-1"))["quarantine"] == []
    (sent,) = (await product.send(event("shop.offer", "o-1")))["decisions"]
    assert sent["outcome"] == "send"


async def test_a_message_that_waits_is_decided_again_on_the_good_parts_of_its_event(tmp_path: Path) -> None:
    night = {"id": "night", "scope": {}, "from": "09:00", "to": "12:00"}
    when = '!has(event.data.zone) && event.data.traits.plan == "pro"'
    trigger = {"event": "tactful.customer.identified", "when": when}
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy(quiet_hours=[night]))
        await product.campaign(campaign(trigger=trigger))
        await product.customer(customer())
        line = raw("tactful.customer.identified", {"zone": "Berln", "traits": {"plan": "pro", "note": "a\x00b"}})
        await product.together.bus.publish([Outgoing("customer.events", b"c-1", line.encode())])
        await product.settle()
        (waiting,) = await product.decisions()
        assert waiting["reason"] == "quiet_hours"
        assert (await product.ask("GET", "/v1/why?customer=c-1&campaign=offer"))["reason"] == "quiet_hours"
        replayed = await product.ask("GET", f"/v1/decisions/{waiting['decision_id']}?replay=true")
        assert replayed["replay"]["same"]
        await product.at(MONDAY + 3 * HOUR)
        assert [each["outcome"] for each in await product.decisions()] == ["defer", "send"]
