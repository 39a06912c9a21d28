"""Why, or why not: now, for anybody; and for the decisions of an event."""

import msgspec
import pytest

from schemas.facts import Address, Consent, OptOut, Preference, Situation, Suppressions
from schemas.times import DAY, parse_instant
from services.orchestrator.decisions import store
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.decision_records import decision, event, keep
from tests.support.orchestrator_app import NOON, World, campaign, policy_document

pytestmark = pytest.mark.wired

ASK = "/v1/why?customer=c-1&campaign=referral-ask"
CONSENT = Consent("sms", "*", "granted", NOON - DAY)
OPT_OUT = "{{ links.unsubscribe }}"
PHONE = Address("sms", "+491701234567", True)


def willing(**changes: object) -> Preference:
    fields: dict[str, object] = {
        "version": 4,
        "addresses": (PHONE,),
        "consent": (CONSENT,),
        "traits": b'{"name":"Ada"}',
    }
    return Preference("c-1", **{**fields, **changes})  # type: ignore[arg-type]


async def test_nothing_speaks_against_it(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign())
    here.others.preferences["c-1"] = willing()
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["outcome"], body["reason"], body["channel"]) == ("send", "eligible", "sms")
    assert (body["change"], body["earliest"], body["at"]) == ([], "2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z")
    assert (body["version"], body["policy_version"], body["preference_version"]) == (1, 1, 4)
    assert len(body["verdicts"]) >= 16


async def test_positions_in_a_topic_of_the_past_hinder_nobody(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign())
    here.others.preferences["c-1"] = willing()
    async with here.database.write() as tx:
        await tx.execute(
            "INSERT INTO partition_lease (topic, partition, epoch, next_offset) VALUES ('events-of-last-year', 0, 1, 5)"
        )
    answer = await here.call("viewer", "GET", ASK)
    assert (answer.status_code, answer.json().get("outcome")) == (200, "send"), answer.text


async def test_a_closed_complaint_names_the_date_from_which_an_ask_is_fine(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign())
    here.others.preferences["c-1"] = willing()
    opened, closed = parse_instant("2026-02-10T09:00:00Z"), parse_instant("2026-02-20T12:00:00Z")
    here.others.suppressions["c-1"] = Suppressions("c-1", 2, (), (Situation("complaint", "", opened, closed),))
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["outcome"], body["reason"], body["rule_id"]) == (
        "suppress",
        "contact_history",
        "no-ask-after-complaint",
    )
    assert body["sentence"] == (
        "An ask is not allowed before 22 March 2026, 12:00 UTC: the complaint closed on 20 February 2026, 12:00 UTC "
        "and the rule no-ask-after-complaint requires a distance of 30 days."
    )
    assert body["earliest"] == body["allowed_from"] == "2026-03-22T12:00:00Z"
    assert body["short"] == "Recent complaint: no asks for 30 days"


async def test_an_open_complaint_must_be_closed_first(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign())
    here.others.preferences["c-1"] = willing(consent=())
    here.others.suppressions["c-1"] = Suppressions("c-1", 2, (), (Situation("complaint", "", NOON - DAY),))
    body = (await here.call("viewer", "GET", ASK)).json()
    assert body["reason"] == "no_consent"  # the first rule of the table
    assert body["earliest"] is None
    assert body["change"] == ["the customer gives consent to SMS about referrals", "an agent closes the complaint"]
    words = {verdict["rule"]: verdict["words"] for verdict in body["verdicts"]}
    assert words["contact_history"].startswith("the complaint opened on 1 March 2026, 12:00 UTC must be closed first")
    assert words["address"] == "verified address"


async def test_as_of_then_the_campaign_and_the_policy_of_then_decide(here: World) -> None:
    here.others.preferences["c-1"] = willing()
    here.others.suppressions["c-1"] = Suppressions("c-1", 2, (), (Situation("complaint", "", NOON - DAY),))
    await here.launch(campaign(priority=10))
    here.clock.advance(DAY)
    await here.enact(policy_document())
    here.clock.advance(DAY)
    assert (await here.call("operator", "POST", "/v1/campaigns/referral-ask/pause")).status_code == 200
    await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign(priority=20))
    here.clock.advance(DAY)
    expected = [
        ("02T12:00:00", "eligible", 0),
        ("03T12:00:00", "contact_history", 1),
        ("04T12:00:01", "campaign_inactive", 1),
    ]
    for day, reason, policy in expected:
        body = (await here.call("viewer", "GET", f"{ASK}&at=2026-03-{day}Z")).json()
        assert (body["reason"], body["policy_version"], body["version"]) == (reason, policy, 1)
        assert body["at"] == f"2026-03-{day}Z"
    early = await here.call("viewer", "GET", f"{ASK}&at=2026-03-02T11:59:59Z")
    assert early.status_code == 404
    assert "it was registered at 2026-03-02T12:00:00Z" in early.json()["detail"]


async def test_what_cannot_be_told_of_then_is_said(here: World) -> None:
    await here.launch(campaign())
    here.others.preferences["c-1"] = willing()
    here.others.removed = 2
    unknown = (await here.call("viewer", "GET", f"{ASK}&at=2026-03-02T12:00:00Z")).json()["unknown"]
    assert "which channels were set up then is not kept" in unknown[0]
    assert unknown[1].startswith("2 do-not-contact entries of addresses were in force then and have been removed since")
    assert (await here.call("viewer", "GET", ASK)).json()["unknown"] == []


async def test_a_longer_rule_is_judged_on_contacts_that_the_ledger_had_forgotten(here: World) -> None:
    await here.launch(campaign(reentry="every 300d"))
    here.others.preferences["c-1"] = willing()
    kind = MessageAttributes("referral-ask", "referrals", "sms", "marketing", "ask_referral")
    made = Contact("msg_" + "ab" * 16, 7, kind, 50, NOON - 200 * DAY, NOON - 200 * DAY, "made")
    full = Ledger.empty().put_contact(made)
    async with here.database.write() as tx:
        await store.insert_contact_history(
            tx, store.contact_history_rows("c-1", Ledger.empty(), full, NOON - 200 * DAY)
        )
        await store.lock_ledgers(tx, ["c-1"], ["c-1"])
        await store.save_ledgers(tx, {"c-1": full.forget(NOON - 100 * DAY)})
    assert (await here.call("viewer", "GET", ASK)).json()["reason"] == "duplicate"


async def test_each_channel_is_explained_and_the_most_promising_leads(here: World) -> None:
    both = campaign(channels=["email", "sms"])
    both["content"]["email"] = {
        "en": {"subject": "Hi", "html": "<p>Hi <a href='{{ links.unsubscribe }}'>no more</a></p>"}
    }
    await here.launch(both)
    here.others.preferences["c-1"] = willing()
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["channel"], body["outcome"]) == ("sms", "send")
    assert [(item["channel"], item["reason"]) for item in body["channels"]] == [
        ("email", "no_address"),
        ("sms", "eligible"),
    ]
    email = (await here.call("viewer", "GET", f"{ASK}&channel=email")).json()
    assert (email["channel"], email["reason"]) == ("email", "no_address")
    unused = await here.call("viewer", "GET", f"{ASK}&channel=push")
    assert (unused.status_code, unused.json()["errors"][0]["pointer"]) == (422, "/query/channel")


async def test_the_last_event_lends_its_data_and_the_trigger_is_supposed_to_fire_now(here: World) -> None:
    await here.launch(campaign(audience="event.data.total >= 50.0", ttl="1d"))
    here.others.preferences["c-1"] = willing()
    without = (await here.call("viewer", "GET", ASK)).json()
    assert (without["reason"], without["assumed_event"]) == ("not_in_audience", None)
    async with here.database.write() as tx:
        await keep(tx, event("e-1", data={"total": 60}), decision(event("e-1")))
    here.clock.advance(10 * DAY)
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["reason"], body["assumed_event"]["id"]) == ("eligible", "e-1")


@pytest.mark.parametrize("status", ["draft", "paused", "stopped"])
async def test_a_campaign_that_does_not_run_says_so(here: World, status: str) -> None:
    if status == "draft":
        await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign())
    else:
        await here.launch(campaign())
        action = status.removesuffix("d").removesuffix("pe")
        assert (await here.call("operator", "POST", f"/v1/campaigns/referral-ask/{action}")).status_code == 200
    here.others.preferences["c-1"] = willing(opt_outs=(OptOut(channel="sms"),))
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["reason"], len(body["change"])) == ("campaign_inactive", 2)


async def test_explaining_changes_nothing(here: World) -> None:
    await here.launch(campaign())
    here.others.preferences["c-1"] = willing()
    await here.call("viewer", "GET", ASK)
    assert (await here.call("viewer", "GET", "/v1/decisions")).json()["items"] == []
    assert (await here.call("agent", "GET", "/v1/contacts/c-1")).json()["version"] == 0


async def test_while_facts_cannot_be_had_there_is_no_answer(here: World) -> None:
    await here.launch(campaign())
    here.others.broken.add("/internal/suppression/facts")
    assert (await here.call("viewer", "GET", ASK)).status_code == 503


@pytest.mark.parametrize(
    "query, status",
    [
        ("customer=c-1&campaign=nobody", 404),
        ("customer=c-1", 422),
        ("source=/shop", 422),
        ("customer=c-1&campaign=referral-ask&source=/shop&event=e-1", 422),
        ("customer=c-1&campaign=referral-ask&at=2026-01-01T00:00:00Z", 404),
        ("customer=c-1&campaign=referral-ask&at=2026-03-02T12:00:01Z", 422),
        ("customer=c-1&campaign=referral-ask&at=yesterday", 422),
        ("source=/shop&event=e-9&at=2026-01-01T00:00:00Z", 422),
        ("source=/shop&event=e-9", 404),
    ],
)
async def test_questions_without_an_answer_are_refused(here: World, query: str, status: int) -> None:
    assert (await here.call("viewer", "GET", f"/v1/why?{query}")).status_code == status


async def test_the_decisions_of_an_event_come_with_sentences(here: World) -> None:
    async with here.database.write() as tx:
        await keep(
            tx, event("e-1"), decision(event("e-1")), decision(event("e-1"), "email", outcome="send", reason="eligible")
        )
    body = (await here.call("viewer", "GET", "/v1/why?source=/shop&event=e-1")).json()
    assert (body["customer"], body["type"]) == ("c-1", "shop.order.delivered")
    assert [item["channel"] for item in body["decisions"]] == ["sms", "email"]
    assert body["decisions"][0]["sentence"].startswith("An ask is not allowed: no consent to")
    assert len(body["decisions"][0]["verdicts"]) == 2


async def test_a_preview_renders_every_channel_and_locale_for_a_customer(here: World) -> None:
    document = campaign()
    document["content"]["sms"]["de"] = {
        "text": "Hallo {{ customer.traits.name }}, {{ event.data.item }}? {{ links.unsubscribe }}"
    }
    here.others.preferences["c-1"] = willing(locale="de-DE")
    question = {"campaign": document, "customer": "c-1", "event": {"data": {"item": "Tee"}}}
    answer = await here.call("admin", "POST", "/v1/preview", json=question)
    assert answer.status_code == 200, answer.text
    items = {item["locale"]: item for item in answer.json()["items"]}
    assert items["en"]["content"]["text"].startswith("Hi Ada, know a friend? https://example.com/u/1")
    assert items["de"]["content"]["text"].startswith("Hallo Ada, Tee?")
    assert items["de"]["facts"]["parts"] == 1
    assert (await here.call("viewer", "GET", "/v1/campaigns/referral-ask")).status_code == 404


async def test_a_preview_of_a_draft_by_key_uses_the_customers_last_event(here: World) -> None:
    document = campaign()
    document["content"]["sms"]["en"]["text"] = "Total {{ event.data.total }} {{ links.unsubscribe }}"
    await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=document)
    async with here.database.write() as tx:
        await keep(tx, event("e-1", data={"total": 61}), decision(event("e-1")))
    answer = await here.call("admin", "POST", "/v1/preview", json={"campaign": "referral-ask", "customer": "c-1"})
    assert answer.json()["items"][0]["content"]["text"].startswith("Total 61 ")


async def test_a_marketer_previews_for_a_sample_and_reads_nothing_of_customers(here: World) -> None:
    document = campaign()
    document["content"]["sms"]["en"]["text"] = (
        "{{ customer.traits.name }} {{ event.data.total }} {{ links.unsubscribe }}"
    )
    here.others.preferences["c-1"] = willing(locale="de-DE")
    async with here.database.write() as tx:
        await keep(tx, event("e-1", data={"total": 61}), decision(event("e-1")))
    question = {"campaign": document, "customer": "c-1"}
    refused = await here.call("marketer", "POST", "/v1/preview", json=question)
    assert (refused.status_code, refused.json()["code"]) == (403, "sample_needed")
    assert refused.json()["errors"][0]["pointer"] == "/sample"
    sample = {**question, "sample": {"traits": {"name": "Eve"}, "locale": "en"}, "event": {"data": {"total": 7}}}
    answer = (await here.call("marketer", "POST", "/v1/preview", json=sample)).json()
    assert answer["locale"] == "en"
    assert answer["items"][0]["content"]["text"] == "Eve 7 https://example.org/unsubscribe"
    without_event = {**question, "sample": {"traits": {"name": "Eve"}}}
    (item,) = (await here.call("marketer", "POST", "/v1/preview", json=without_event)).json()["items"]
    assert item["error"]["variable"] == "event.data.total"


async def test_a_bad_draft_is_not_previewed(here: World) -> None:
    bad = {"campaign": campaign(priorty=1), "customer": "c-1", "sample": {}}
    answer = await here.call("marketer", "POST", "/v1/preview", json=bad)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/campaign/priorty")
    missing = {"campaign": "nobody", "customer": "c-1", "sample": {}}
    assert (await here.call("marketer", "POST", "/v1/preview", json=missing)).status_code == 404
    assert msgspec.json.decode(answer.content)["code"] == "invalid"


async def test_a_message_that_could_not_be_rendered_is_not_called_ready(here: World) -> None:
    document = campaign()
    document["content"]["sms"]["en"]["text"] = "{{ customer.traits.days | plus: 1 }} {{ event.data.amount }} " + OPT_OUT
    document["trigger"] = {"event": "shop.order.delivered"}
    await here.launch(document)
    here.others.preferences["c-1"] = willing()
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["outcome"], body["reason"], body["failure"]["code"]) == ("fail", "render_error", "undefined")
    assert body["failure"]["variable"] == "customer.traits.days"
    assert body["sentence"].startswith("An ask failed: the content could not be rendered: line 1, column ")
    assert "(in /content/sms/en/text)" in body["sentence"]
    assert body["change"][0].startswith("whoever sends the data sends a value for `customer.traits.days`")
    preview = {"campaign": "referral-ask", "customer": "c-1"}
    (item,) = (await here.call("admin", "POST", "/v1/preview", json=preview)).json()["items"]
    assert item["error"] == body["failure"]


async def test_without_an_event_its_data_do_not_fail_the_message(here: World) -> None:
    document = campaign()
    document["content"]["sms"]["en"]["text"] = "{{ event.data.amount }} " + OPT_OUT
    await here.launch(document)
    here.others.preferences["c-1"] = willing()
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["outcome"], body["assumed_event"]) == ("send", None)
    assert body["unknown"] == ["whether the content for SMS can be rendered"]


async def test_a_draft_is_explained_and_rendered_as_well(here: World) -> None:
    document = campaign()
    document["content"]["sms"]["en"]["text"] = "{{ customer.traits.days }} " + OPT_OUT
    await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=document)
    here.others.preferences["c-1"] = willing()
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["outcome"], body["reason"]) == ("suppress", "campaign_inactive")
    assert "the campaign is only a draft" in body["sentence"]
    assert body["change"] == ["a marketer submits the draft, and after its approval by somebody else it is activated"]


async def test_a_customer_of_whom_nothing_is_known_is_called_that(here: World) -> None:
    await here.launch(campaign())
    here.others.preferences["c-1"] = Preference("c-1")
    body = (await here.call("viewer", "GET", ASK)).json()
    assert body["reason"] == "no_address"
    assert body["unknown"] == ["who the customer is: nothing is stored about this id"]


async def test_an_audience_that_fails_names_variable_kinds_and_place(here: World) -> None:
    await here.launch(campaign(audience="customer.traits.days >= 7"))
    here.others.preferences["c-1"] = willing(traits=b'{"days": "secret"}')
    body = (await here.call("viewer", "GET", ASK)).json()
    assert (body["outcome"], body["reason"]) == ("fail", "policy_unavailable")
    assert body["sentence"] == (
        "An ask failed: the audience compares `customer.traits.days` (text) with a number, at line 1, column 17."
    )
    assert "secret" not in str(body)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("event.data.total > 1", "is false, because `event.data.total` has no value: event.data.total > 1"),
        ("event.data.size > 9", "is false: event.data.size > 9"),
        (
            "event.data.item > 9",
            "compares `event.data.item` (text) with a number, at line 1, column 12: event.data.item > 9",
        ),
    ],
)
async def test_a_campaign_that_an_event_did_not_trigger_says_why(here: World, when: str, words: str) -> None:
    await here.launch(campaign(trigger={"event": "shop.order.delivered", "when": when}))
    here.others.preferences["c-1"] = willing()
    came = msgspec.structs.replace(event("e-1"), data=msgspec.Raw(b'{"size": 1, "item": "shoes"}'))
    async with here.database.write() as tx:
        await keep(tx, came)
    body = (await here.call("viewer", "GET", "/v1/why?source=/shop&event=e-1")).json()
    assert body["decisions"] == []
    assert body["not_triggered"] == [{"campaign": "referral-ask", "words": f"the condition of its trigger {words}"}]
