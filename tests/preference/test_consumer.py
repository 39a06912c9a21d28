"""Preference events from the log: each applied once, in order, together with the offsets; the fence waits for them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.event import encode_event
from schemas.facts import OptOut
from schemas.times import DAY
from services.kit.bus.sender_signature import SenderSignature
from services.kit.errors import FenceTimeout, Transient
from services.kit.http import internal_api
from tests.support.preference_service import NOW, SERVICE_KEY, Running, change, eventually, partition_zero, running

pytestmark = pytest.mark.wired


async def test_the_fence_makes_facts_include_every_earlier_event(at_work: Running) -> None:
    for number in range(20):
        positions = await at_work.publish(change(f"e-{number}", at=NOW + number, opt_outs=[{"topic": f"t-{number}"}]))
        facts = await at_work.facts(["c-1", "c-2"], positions)
        assert facts["c-1"].opt_outs == (OptOut(topic=f"t-{number}"),)
        assert facts["c-1"].version == number + 1
        assert facts["c-2"].version == 0


async def test_an_answer_repeats_nothing_that_the_asker_knows(at_work: Running) -> None:
    positions = await at_work.publish(change("e-1", locale="de"), change("e-2", customer="c-2", locale="en"))
    known = await at_work.doors.get_facts(["c-1", "c-2", "c-3"], positions)
    again = await at_work.doors.get_facts(["c-1", "c-2", "c-3"], positions, known)
    assert all(again[name] is known[name] for name in known)
    positions = await at_work.publish(
        change("e-3", at=NOW + 1, opt_outs=[{"all": True}]), change("e-4", customer="c-3", locale="de")
    )
    later = await at_work.doors.get_facts(["c-1", "c-2", "c-3", "c-4"], positions, known)
    assert (later["c-1"].version, later["c-1"].opt_outs) == (2, (OptOut(all=True),))
    assert later["c-2"] is known["c-2"]
    assert (later["c-3"].version, later["c-4"].version) == (1, 0)


async def test_a_quarantine_is_told_to_an_asker_who_knows_the_customer(at_work: Running) -> None:
    known = await at_work.doors.get_facts(["c-1"], await at_work.publish(change("e-1", locale="de")))
    positions = await at_work.publish(change("e-2", at=NOW + 1, opt_outs="not a list"))
    assert (await at_work.doors.get_facts(["c-1"], positions, known))["c-1"].quarantines[0].until == NOW + DAY


async def test_facts_are_refused_while_the_database_lags(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, reading=False) as idle:
        positions = await idle.publish(change("e-1", opt_outs=[{"all": True}]))
        with pytest.raises(Transient) as caught:
            await idle.doors.get_facts(["c-1"], positions)
        assert caught.value.code == FenceTimeout.default_code
        assert (await idle.facts(["c-1"], {}))["c-1"].version == 0


async def test_positions_ahead_of_the_log_are_never_reached(at_work: Running) -> None:
    positions = await at_work.publish(change("e-1"))
    with pytest.raises(Transient):
        await at_work.doors.get_facts(["c-1"], partition_zero(positions, 1))


async def test_an_event_is_applied_once_for_each_customer(at_work: Running) -> None:
    await at_work.publish(change("e-1", locale="de"), change("e-1", at=NOW + 1, locale="fr"))
    positions = await at_work.publish(change("e-1", locale="de"), change("e-1", customer="c-2", locale="en"))
    facts = await at_work.facts(["c-1", "c-2"], positions)
    assert (facts["c-1"].locale, facts["c-1"].version) == ("de", 1)
    assert (facts["c-2"].locale, facts["c-2"].version) == ("en", 1)
    await at_work.counted("event", "changed", 2)
    await at_work.counted("event", "duplicate", 1)
    await at_work.counted("event", "conflict", 1)


async def test_many_changes_of_one_batch_are_applied_in_order(at_work: Running) -> None:
    events = [change(f"e-{n}", at=NOW, kind="customer.identified", traits={f"t{n % 7}": n}) for n in range(100)]
    facts = await at_work.facts(["c-1"], await at_work.publish(*events))
    assert facts["c-1"].version == 100
    history = (await at_work.http.get("/v1/preferences/c-1/history", params={"limit": 200})).json()["items"]
    assert [item["version"] for item in history] == list(range(100, 0, -1))
    assert history[0]["event_id"] == "e-99"
    assert len(history[0]["value"]) == 7


async def test_an_event_that_changes_nothing_leaves_no_history(at_work: Running) -> None:
    positions = await at_work.publish(change("e-1", locale="de"), change("e-2", at=NOW - 1, locale="en"))
    assert (await at_work.facts(["c-1"], positions))["c-1"].version == 1
    assert len((await at_work.http.get("/v1/preferences/c-1/history")).json()["items"]) == 1


@pytest.mark.parametrize(
    "value",
    [
        b'{"specversion":"1.0","type":"tactful.preference.changed","subject":"c-1"}',
        b'{"specversion":"1.0","id":"e","source":"/s","type":"tactful.preference.changed","subject":"c-1",'
        b'"time":"2026-03-02T12:00:00Z","data":{"opt_outs":[{"channel":"fax"}]}}',
        b'{"specversion":"1.0","id":"e","source":"/s","type":"tactful.preference.changed","subject":"c-1",'
        b'"time":"2026-03-04T12:00:00Z","data":{"opt_outs":[{"all":true}]}}',
    ],
)
async def test_a_change_that_cannot_be_read_is_a_dead_letter_and_quarantines_its_customer(
    at_work: Running, value: bytes
) -> None:
    await at_work.publish(change("e-0", locale="de"))
    positions = await at_work.publish_raw((b"c-1", value), (b"c-2", value.replace(b"c-1", b"c-2")))
    facts = await at_work.facts(["c-1", "c-2", "c-3"], positions)
    assert [each.until for each in (*facts["c-1"].quarantines, *facts["c-2"].quarantines)] == [NOW + DAY] * 2
    assert facts["c-1"].locale == "de"
    assert facts["c-3"].quarantines == ()
    letters = await at_work.dead_letters()
    assert sorted(letter.value for letter in letters) == [value, value.replace(b"c-1", b"c-2")]


async def test_good_parts_are_applied_and_bad_ones_are_named_in_the_letter(at_work: Running) -> None:
    identified = change(
        "e-1",
        kind="customer.identified",
        zone="Berln",
        locale="en-US-u-mu-celsius",
        country="de",
        traits={"name": "Ada"},
        addresses=[{"channel": "email", "address": "ada@example.org"}, {"channel": "email"}],
    )
    facts = (await at_work.facts(["c-1"], await at_work.publish(identified)))["c-1"]
    assert (facts.locale, facts.country, facts.zone) == ("en-US-u-mu-celsius", "DE", None)
    assert (facts.traits, [each.address for each in facts.addresses]) == (b'{"name":"Ada"}', ["ada@example.org"])
    assert facts.quarantines == ()
    (letter,) = await at_work.dead_letters()
    assert (letter.error_class, letter.event_id) == ("Unreadable", "e-1")
    problems = msgspec.json.decode(letter.problems)
    assert [each["pointer"] for each in problems] == ["/data/zone", "/data/addresses/1/address"]
    assert "did you mean `Europe/Berlin`" in problems[0]["detail"]


@pytest.mark.parametrize(
    ("kind", "data", "quarantined"),
    [
        ("preference.changed", {}, False),
        ("preference.changed", {"zone": "Berln"}, False),
        ("preference.changed", {"optouts": [{"all": True}]}, True),
        ("preference.changed", {"doNotContact": True}, True),
        ("preference.changed", {"locale": "de", "consent": [{"channel": "email"}]}, True),
        ("preference.changed", {"paused_until": "tomorrow"}, True),
        ("preference.changed", [1], True),
        ("customer.identified", {"opt_outs": [{"all": True}]}, True),
        ("customer.identified", {"timezone": "Europe/Berlin"}, False),
        ("customer.identified", {"traits": [1]}, False),
    ],
)
async def test_only_what_may_have_been_a_refusal_quarantines(
    at_work: Running, kind: str, data: Any, quarantined: bool
) -> None:
    raw = msgspec.structs.replace(change("e-1", kind=kind), data=msgspec.Raw(msgspec.json.encode(data)))
    facts = (await at_work.facts(["c-1"], await at_work.publish(raw)))["c-1"]
    assert bool(facts.quarantines) is quarantined
    assert len(await at_work.dead_letters()) == 1


async def test_what_would_make_a_customer_too_large_is_a_dead_letter_and_holds_up_nobody(at_work: Running) -> None:
    fill = change("e-1", kind="customer.identified", traits={f"t{number}": 1 for number in range(200)})
    over = change("e-2", kind="customer.identified", traits={"one": 1})
    positions = await at_work.publish(fill, over, change("e-3", customer="c-2", locale="de"))
    facts = await at_work.facts(["c-1", "c-2"], positions)
    assert facts["c-1"].quarantines == ()
    assert facts["c-2"].locale == "de"
    assert [letter.error_class for letter in await at_work.dead_letters()] == ["Overgrown"]


async def test_traits_have_a_size_and_a_refusal_beside_them_counts(at_work: Running) -> None:
    large = {"text": "x" * 40_000}
    fill = change("e-1", kind="customer.identified", traits=large)
    over = change("e-2", kind="customer.identified", traits={"more": "x" * 40_000}, locale="fr")
    after = change("e-3", opt_outs=[{"topic": "news"}])
    facts = (await at_work.facts(["c-1"], await at_work.publish(fill, over, after)))["c-1"]
    assert msgspec.json.decode(facts.traits) == large
    assert ([entry.topic for entry in facts.opt_outs], facts.locale) == (["news"], "fr")
    [letter] = await at_work.dead_letters()
    assert letter.error_class == "Overgrown"


async def test_facts_that_are_too_large_together_are_asked_for_in_halves(
    at_work: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal_api, "MAX_RESPONSE_BYTES", 4 * 1024 * 1024)
    customers = [f"c-{number}" for number in range(90)]
    traits = {"text": "x" * 60_000}
    positions = await at_work.publish(
        *(change(f"e-{name}", kind="customer.identified", customer=name, traits=traits) for name in customers)
    )
    found = await at_work.facts(customers, positions)
    assert [*found] == customers
    assert {len(each.traits) for each in found.values()} == {len(msgspec.json.encode(traits))}


async def test_records_of_other_types_are_none_of_our_business(at_work: Running) -> None:
    other = b'{"specversion":"1.0","type":"shop.order","subject":"c-1"}'
    positions = await at_work.publish_raw((b"c-1", other), (b"c-1", b"not json"), (b"c-1", None), (None, b""))
    assert (await at_work.facts(["c-1"], positions))["c-1"].version == 0
    assert await at_work.dead_letters() == []


async def test_a_restart_goes_on_where_the_database_stands(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path) as first:
        await first.facts(["c-1"], await first.publish(change("e-1", locale="de")))
    async with running(database_url, tmp_path, reading=False) as idle:
        await idle.publish(change("e-2", at=NOW + 1, locale="fr"))
    async with running(database_url, tmp_path) as second:
        positions = await second.publish(change("e-1", locale="de"))
        facts = await second.facts(["c-1"], positions)
        assert (facts["c-1"].locale, facts["c-1"].version) == ("fr", 2)
        await second.counted("event", "duplicate", 1)


async def test_people_and_the_log_may_change_one_customer_at_once(at_work: Running) -> None:
    async def person(number: int) -> None:
        answer = await at_work.http.patch("/v1/preferences/c-1", json={"channel_order": ["email", "sms"][: number % 3]})
        assert answer.status_code in (200, 201)

    events = [change(f"e-{n}", at=NOW, kind="customer.identified", traits={f"t{n}": n}) for n in range(30)]
    publishing = asyncio.gather(*(at_work.publish(event) for event in events))
    await asyncio.gather(*(person(number) for number in range(30)))
    positions = (await publishing)[-1]

    async def all_there() -> bool:
        return (await at_work.facts(["c-1"], positions))["c-1"].version == 60

    await eventually(all_there)
    assert len((await at_work.http.get("/v1/preferences/c-1")).json()["traits"]) == 30


async def test_an_unreadable_change_quarantines_every_customer_whom_its_record_names(at_work: Running) -> None:
    value = b'{"specversion":"1.0","type":"tactful.preference.changed","subject":"c-body"}'
    positions = await at_work.publish_raw((b"c-key", value, (("ce_subject", b"c-header"),)))
    facts = await at_work.facts(["c-header", "c-body", "c-key", "c-1"], positions)
    assert [len(facts[name].quarantines) for name in facts] == [1, 1, 1, 0]


async def test_what_fits_of_an_event_that_is_too_large_is_applied(at_work: Running) -> None:
    fill = change("e-1", kind="customer.identified", traits={f"t{number}": 1 for number in range(200)})
    over = change("e-2", kind="customer.identified", traits={"one": 1}, locale="de")
    facts = (await at_work.facts(["c-1"], await at_work.publish(fill, over)))["c-1"]
    assert (facts.locale, len(msgspec.json.decode(facts.traits))) == ("de", 200)


async def test_a_readable_change_concerns_its_subject_and_not_its_key(at_work: Running) -> None:
    value = encode_event(change("e-1", opt_outs=[{"all": True}]))
    facts = await at_work.facts(["c-1", "c-key"], await at_work.publish_raw((b"c-key", value)))
    assert (facts["c-1"].opt_outs, facts["c-key"].version) == ((OptOut(all=True),), 0)


async def test_the_history_names_the_sender_of_a_signed_event_and_of_no_other(at_work: Running) -> None:
    signed, forged = change("e-1", locale="de"), change("e-2", locale="fr")
    records = []
    for event, door in ((signed, SenderSignature(SERVICE_KEY)), (forged, SenderSignature("another"))):
        key, value = event.customer.encode(), encode_event(event)
        records.append((key, value, door.headers("shop", key, value)))
    await at_work.facts(["c-1"], await at_work.publish_raw(*records))
    history = (await at_work.http.get("/v1/preferences/c-1/history")).json()["items"]
    assert [(item["event_id"], item["actor"]) for item in history] == [("e-2", None), ("e-1", "shop")]


async def test_a_grant_without_proof_is_dead_lettered_and_what_stands_beside_it_applied(at_work: Running) -> None:
    """As over HTTP. It is no refusal, so nobody is quarantined for it."""
    good = {"channel": "email", "topic": "news", "status": "granted", "at": "2026-01-02T10:00:00Z",
            "source": "checkout", "wording": "newsletter-3"}  # fmt: skip
    withdrawn = {"channel": "sms", "topic": "*", "status": "withdrawn", "at": "2026-01-02T10:00:00Z"}
    bad = good | {"channel": "push", "wording": None}
    event = change("e-1", consent=[bad, good, {**bad, "source": None}, withdrawn], locale="de")
    facts = (await at_work.facts(["c-1"], await at_work.publish(event)))["c-1"]
    assert sorted((each.channel, each.status) for each in facts.consent) == [("email", "granted"), ("sms", "withdrawn")]
    assert facts.locale == "de" and not facts.quarantines
    (letter,) = await at_work.dead_letters()
    pointers = [each["pointer"] for each in json.loads(letter.problems)]
    assert pointers == ["/data/consent/0/wording", "/data/consent/2/source", "/data/consent/2/wording"]
