"""Situation and erasure events from the log: each applied once; unreadable records quarantine their customers."""

import asyncio

import msgspec
import pytest

from schemas.event import encode_event
from schemas.facts import Situation
from schemas.service_api import CustomerAddressHashes
from schemas.times import DAY, HOUR
from services.kit.bus.protocol import Outgoing
from tests.support.suppression_service import COMPLAINT, LOW_SCORE, NOW, TOPIC, Running, event, record

pytestmark = pytest.mark.wired

FILED, RESOLVED = "shop.complaint.filed", "shop.complaint.resolved"


async def facts(service: Running, customer: str = "c-1"):  # type: ignore[no-untyped-def]
    return (await service.client.get_facts([CustomerAddressHashes(customer)], {})).customers[0]


async def test_events_open_and_close_and_their_history_is_kept(service: Running) -> None:
    await service.situations(COMPLAINT)
    await service.events(
        event(FILED, {"case": "A"}, id="e-1"),
        event("shop.order", id="e-2"),
        event(RESOLVED, {"case": "A"}, id="e-3", time=NOW + HOUR),
        event(RESOLVED, {"case": "B"}, id="e-4", time=NOW + HOUR),
    )
    assert (await facts(service)).situations == (Situation("complaint", '"A"', NOW, NOW + HOUR),)
    shown = (await service.http.get("/v1/situations/c-1")).json()
    assert [(step["action"], step["event"]["id"]) for step in shown["items"]] == [("closed", "e-3"), ("opened", "e-1")]
    assert service.metric("situations_total", action="ignored") == 1


async def test_the_same_event_twice_does_nothing_the_second_time(service: Running) -> None:
    await service.situations(COMPLAINT)
    filed = event(FILED, {"case": "A"}, id="e-1")
    closed = event(RESOLVED, {"case": "A"}, id="e-2", time=NOW + 1)
    await service.events(filed, filed, closed)
    await service.events(filed)
    assert (await facts(service)).situations == (Situation("complaint", '"A"', NOW, NOW + 1),)
    assert service.metric("suppression_events_total", result="duplicate") == 2


async def test_an_id_with_another_content_is_counted_apart_and_does_nothing(service: Running) -> None:
    """In one batch and later; the same event with another time, or spelt otherwise, is the same."""
    await service.situations(COMPLAINT)
    filed = event(FILED, {"case": "A", "level": 1}, id="e-1")
    await service.events(filed, event(FILED, {"case": "B"}, id="e-1"))
    later = event(FILED, {"level": 1, "case": "A"}, id="e-1", time=NOW + HOUR)
    await service.events(event(RESOLVED, {"case": "A", "level": 1}, id="e-1"), later)
    assert (await facts(service)).situations == (Situation("complaint", '"A"', NOW),)
    assert service.metric("suppression_events_total", result="conflict") == 2
    assert service.metric("suppression_events_total", result="duplicate") == 1


async def test_what_an_earlier_version_applied_is_never_called_another_content(service: Running) -> None:
    await service.situations(COMPLAINT)
    filed = event(FILED, {"case": "A"}, id="e-1")
    await service.events(filed)
    async with service.database.write() as tx:
        await tx.execute("UPDATE inbox SET digest = NULL")
    await service.events(event(FILED, {"case": "B"}, id="e-1"))
    assert service.metric("suppression_events_total", result="duplicate") == 1


async def test_the_same_id_of_another_source_is_another_event(service: Running) -> None:
    await service.situations(COMPLAINT)
    first = event(FILED, {"case": "A"})
    await service.events(first, msgspec.structs.replace(event(FILED, {"case": "B"}), source="/other"))
    assert len((await facts(service)).situations) == 2


async def test_an_event_after_the_activation_is_judged_with_the_new_kinds(service: Running) -> None:
    await service.situations(COMPLAINT)
    await service.events(event("tactful.feedback.given", {"score": 1}, id="e-1"))
    await service.situations(COMPLAINT, LOW_SCORE, version=2)
    await service.events(event("tactful.feedback.given", {"score": 2}, id="e-2", time=NOW + 1))
    assert (await facts(service)).situations == (Situation("low_score", "", NOW + 1),)


async def test_an_erased_customer_is_suppressed_and_stands_on_the_list(service: Running) -> None:
    await service.events(event("tactful.customer.erased"))
    (entry,) = (await facts(service)).entries
    assert (entry.reason, entry.channel, entry.classes, entry.at) == ("erased", None, None, NOW)
    listed = (await service.http.get("/v1/suppressions", params={"customer": "c-1"})).json()["items"]
    assert [item["reason"] for item in listed] == ["erased"]


async def test_an_erasure_dated_ahead_holds_at_once(service: Running) -> None:
    await service.events(event("tactful.customer.erased", time=NOW + HOUR))
    assert (await facts(service)).entries[0].at == NOW


async def quarantined(service: Running, *records: Outgoing, customer: str = "c-1") -> bool:
    await service.settle(await service.publish(*records))
    return bool((await facts(service, customer)).quarantines)


async def dead_letters(service: Running) -> int:
    async with service.database.read() as tx:
        row = await tx.row("SELECT count(*) AS letters FROM dead_letter")
    assert row is not None
    return int(row.letters)


async def test_an_event_that_concerns_us_but_cannot_be_read_leaves_the_customer_in_peace(service: Running) -> None:
    await service.situations(COMPLAINT)
    broken = encode_event(event(FILED)).replace(b'"1.0"', b'"9.9"')
    assert await quarantined(service, Outgoing(TOPIC, b"c-1", broken))
    assert await dead_letters(service) == 1
    (found,) = (await facts(service)).quarantines
    assert (found.start, found.until) == (NOW, NOW + DAY)
    assert service.metric("quarantines_total", service="suppression", change="begun") == 1


async def test_data_that_are_no_object_leave_the_customer_in_peace_and_stop_nobody_else(service: Running) -> None:
    await service.situations(COMPLAINT)
    assert await quarantined(
        service,
        record(event(FILED, [1], id="e-1")),
        record(event(FILED, {"case": "A"}, id="e-2", customer="c-2")),
        record(event(FILED, {"case": "A"}, id="e-3")),
    )
    assert len((await facts(service)).situations) == len((await facts(service, "c-2")).situations) == 1
    assert (await facts(service, "c-2")).quarantines == ()


async def test_a_record_that_nobody_can_read_quarantines_and_is_dead_lettered_here(service: Running) -> None:
    assert await quarantined(service, Outgoing(TOPIC, b"c-1", b"\xff not json"))
    assert await dead_letters(service) == 1
    assert service.metric("suppression_events_total", result="unreadable") == 1


async def test_the_customer_of_an_unreadable_record_may_stand_in_its_header(service: Running) -> None:
    assert await quarantined(service, Outgoing(TOPIC, None, b"", (("ce_subject", b"c-1"),)))


async def test_an_unreadable_record_quarantines_every_customer_whom_it_names(service: Running) -> None:
    names = (("ce_subject", b"c-header"),)
    value = b'{"specversion": "1.0", "type": 5, "subject": "c-body"}'
    for customer in ("c-header", "c-body", "c-key"):
        assert await quarantined(service, Outgoing(TOPIC, b"c-key", value, names), customer=customer)


async def test_an_event_that_cannot_be_applied_quarantines_every_customer_whom_it_names(service: Running) -> None:
    await service.situations(COMPLAINT)
    broken = encode_event(event(FILED, customer="c-body")).replace(b'"1.0"', b'"9.9"')
    for customer in ("c-header", "c-body", "c-key"):
        header = (("ce_subject", b"c-header"),)
        assert await quarantined(service, Outgoing(TOPIC, b"c-key", broken, header), customer=customer)


async def test_a_subject_in_the_data_of_binary_mode_is_no_customer(service: Running) -> None:
    await service.situations(COMPLAINT)
    headers = (("ce_specversion", b"9.9"), ("ce_type", FILED.encode()), ("ce_subject", b"c-header"))
    unreadable = Outgoing(TOPIC, b"c-key", b'{"subject": "c-data"}', headers)
    assert not await quarantined(service, unreadable, customer="c-data")
    assert await quarantined(service, unreadable, customer="c-header")
    assert await quarantined(service, unreadable, customer="c-key")


async def test_a_record_that_names_nobody_is_counted_and_passed(service: Running) -> None:
    await service.settle(await service.publish(Outgoing(TOPIC, b"\xff", b"?"), Outgoing(TOPIC, None, None)))
    assert service.metric("suppression_events_total", result="unreadable_nobody") == 2


async def test_a_broken_event_of_a_type_that_does_not_concern_us_is_left_to_others(service: Running) -> None:
    broken = encode_event(event("shop.order")).replace(b'"1.0"', b'"9.9"')
    assert not await quarantined(service, Outgoing(TOPIC, b"c-1", broken))
    assert await dead_letters(service) == 0


async def test_events_in_binary_mode_are_understood(service: Running) -> None:
    await service.situations(COMPLAINT)
    headers = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": FILED, "subject": "c-1"}
    headers["time"] = "2026-03-02T10:00:00Z"
    packed = tuple((f"ce_{name}", value.encode()) for name, value in headers.items())
    await service.settle(await service.publish(Outgoing(TOPIC, b"c-1", b'{"case": "A"}', packed)))
    assert (await facts(service)).situations == (Situation("complaint", '"A"', NOW),)


async def test_many_customers_and_writers_at_once_lose_nothing(service: Running) -> None:
    await service.situations(COMPLAINT)
    names = [f"c-{n}" for n in range(40)]
    rows = [{"customer": name, "reason": "manual", "scope": {"topic": f"t-{n}"}} for n in range(3) for name in names]
    sent = await service.publish(
        *(record(event(FILED, {"case": n}, id=f"e-{n}", customer=name)) for n in range(5) for name in names)
    )
    answers = await asyncio.gather(
        *(service.http.post("/v1/suppressions", json=rows[part::3]) for part in range(3)), service.settle(sent)
    )
    assert [answer.status_code for answer in answers[:3] if answer is not None] == [200] * 3
    answer = await service.client.get_facts([CustomerAddressHashes(name) for name in names], sent)
    assert all(len(item.situations) == 5 and len(item.entries) == 3 for item in answer.customers)


@pytest.mark.parametrize(
    ("type", "data", "quarantines"),
    [
        ("tactful.situation.opened", {"kind": 7}, True),
        ("tactful.situation.opened", {"kind": "complain"}, True),
        ("tactful.situation.opened", {"kind": "vacation"}, False),
        ("tactful.situation.closed", {"kind": 7}, False),
        ("tactful.feedback.given", {"score": "nine"}, False),
        ("tactful.feedback.given", {}, False),
        ("tactful.feedback.given", [1], True),
        ("tactful.prefrence.changed", {"opt_outs": [{"all": True}]}, True),
        ("tactful.contact.report", {"channel": "phone"}, False),
    ],
)
async def test_only_what_may_have_been_a_refusal_quarantines(
    service: Running, type: str, data: object, quarantines: bool
) -> None:
    await service.situations(COMPLAINT, LOW_SCORE)
    assert await quarantined(service, record(event(type, data))) is quarantines
    assert await dead_letters(service) == 1


async def test_an_erasure_is_applied_whatever_its_data_hold(service: Running) -> None:
    await service.events(
        event("tactful.customer.erased", {"reason": "gdpr"}),
        event("tactful.customer.erased", [1], id="e-2", customer="c-2"),
    )
    for customer in ("c-1", "c-2"):
        assert [entry.reason for entry in (await facts(service, customer)).entries] == ["erased"]
    assert await dead_letters(service) == 0
