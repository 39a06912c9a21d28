"""The internal HTTP API: facts behind the fence, holds, and the situations of the policy."""

import asyncio
import time
from pathlib import Path

import pytest

from schemas.addresses import hash_address
from schemas.service_api import (
    HOLDS_PATH,
    SUPPRESSION_FACTS_PATH,
    CustomerAddressHashes,
    SuppressionRequest,
    SuppressionResponse,
)
from services.clients.suppression import SuppressionClient
from services.kit.errors import Permanent, Transient
from services.kit.http import internal_api
from services.suppression.suppression_errors import AddressKeyMismatch
from tests.support.suppression_service import (
    ADDRESS_KEY,
    COMPLAINT,
    LOW_SCORE,
    SERVICE,
    TOPIC,
    Running,
    event,
    record,
    running,
)


@pytest.mark.wired
async def test_a_question_waits_until_the_log_is_applied_up_to_where_the_asker_has_read(service: Running) -> None:
    await service.situations(COMPLAINT)
    for n in range(20):
        positions = await service.publish(record(event("shop.complaint.filed", {"case": n}, id=f"e-{n}")))
        answer = await service.client.get_facts([CustomerAddressHashes("c-1")], positions)
        assert len(answer.customers[0].situations) == n + 1


@pytest.mark.wired
async def test_positions_that_are_not_reached_in_time_are_answered_with_come_back_later(service: Running) -> None:
    await service.service.stop_consuming()
    positions = await service.publish(record(event("shop.order")))
    began = time.monotonic()
    with pytest.raises(Transient) as raised:
        await service.client.get_facts([CustomerAddressHashes("c-1")], positions)
    assert raised.value.code == "not_caught_up" and raised.value.retry_after >= 1
    assert 1.9 < time.monotonic() - began < 10


@pytest.mark.wired
async def test_a_restarted_service_has_not_forgotten_how_far_it_was(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path) as first:
        await first.situations(COMPLAINT)
        positions = await first.publish(record(event("shop.complaint.filed", {"case": "A"})))
        await first.settle(positions)
    async with running(database_url, tmp_path, start=False) as second:
        answer = await second.client.get_facts([CustomerAddressHashes("c-1")], positions)
        assert len(answer.customers[0].situations) == 1


@pytest.mark.wired
async def test_answers_come_in_the_order_asked_and_twice_for_one_asked_twice(service: Running) -> None:
    answer = await service.client.get_facts(
        [CustomerAddressHashes("c-2"), CustomerAddressHashes("c-1"), CustomerAddressHashes("c-2")], {}
    )
    assert [item.customer for item in answer.customers] == ["c-2", "c-1", "c-2"]
    assert all(item.version == 0 for item in answer.customers)


@pytest.mark.wired
async def test_an_answer_repeats_nothing_that_the_asker_knows(service: Running) -> None:
    await service.situations(COMPLAINT)
    asked = [CustomerAddressHashes("c-1"), CustomerAddressHashes("c-2")]
    known = {item.customer: item for item in (await service.client.get_facts(asked, {})).customers}
    again = (await service.client.get_facts(asked, {}, known)).customers
    assert all(item is known[item.customer] for item in again)
    positions = await service.publish(record(event("shop.complaint.filed", {"case": "A"})))
    first, second = (await service.client.get_facts(asked, positions, known)).customers
    assert len(first.situations) == 1
    assert second is known["c-2"]


@pytest.mark.wired
async def test_entries_of_addresses_are_always_told_and_always_asked_for_again(service: Running) -> None:
    """They change without the customer's version: one that was added is told, one that was removed is gone."""
    address = ("email", hash_address(ADDRESS_KEY.encode(), "email", "a@example.org"))
    asked = [CustomerAddressHashes("c-1", (address,))]
    known = {"c-1": (await service.client.get_facts(asked, {})).customers[0]}
    body = {"address": "a@example.org", "scope": {"channel": "email"}, "reason": "manual"}
    added = (await service.http.post("/v1/suppressions", json=body)).json()
    (told,) = (await service.client.get_facts(asked, {}, known)).customers
    assert [entry.address for entry in told.entries] == [0]
    await service.remove(added["id"])
    (gone,) = (await service.client.get_facts(asked, {}, {"c-1": told})).customers
    assert gone.entries == ()


@pytest.mark.wired
async def test_an_event_loses_nothing_to_an_entry_added_meanwhile(service: Running) -> None:
    await service.situations(COMPLAINT)
    rows = [{"customer": "c-1", "reason": "manual", "scope": {"topic": f"t-{n}"}} for n in range(10)]
    filed = [event("shop.complaint.filed", {"case": n}, id=f"e-{n}") for n in range(10)]
    await asyncio.gather(
        *(service.http.post("/v1/suppressions", json=row) for row in rows), *(service.events(item) for item in filed)
    )
    (found,) = (await service.client.get_facts([CustomerAddressHashes("c-1")], {})).customers
    assert (len(found.entries), len(found.situations), found.version) == (10, 10, 20)


@pytest.mark.wired
async def test_another_address_key_is_refused_on_both_sides(service: Running) -> None:
    other = SuppressionClient(service.http, SERVICE, b"another key")
    asked = CustomerAddressHashes("c-1", (("email", hash_address(b"another key", "email", "a@b.c")),))
    with pytest.raises(Permanent) as raised:
        await other.get_facts([asked], {})
    assert raised.value.code == "other_address_key"
    unnamed = SuppressionRequest((asked,))
    with pytest.raises(Permanent):
        await internal_api.call(service.http, SUPPRESSION_FACTS_PATH, unnamed, SuppressionResponse, key=SERVICE)


@pytest.mark.wired
async def test_a_question_with_fewer_versions_than_customers_is_not_answered_in_part(service: Running) -> None:
    lame = SuppressionRequest((CustomerAddressHashes("c-1"), CustomerAddressHashes("c-2")), {}, "", (0,))
    with pytest.raises(Permanent):
        await internal_api.call(service.http, SUPPRESSION_FACTS_PATH, lame, SuppressionResponse, key=SERVICE)


@pytest.mark.wired
async def test_a_topic_that_we_do_not_read_is_refused_rather_than_waited_for(service: Running) -> None:
    with pytest.raises(Permanent) as raised:
        await service.client.get_facts([], {"other": {0: 1}})
    assert raised.value.code == "unknown_topic"


@pytest.mark.wired
async def test_situations_that_cannot_be_understood_are_refused(service: Running) -> None:
    for wrong in ({"kind": "k"}, LOW_SCORE | {"opens": [{"event": "x", "when": "customer.id == 'c'"}]}):
        with pytest.raises(Permanent):
            await service.situations(wrong)


@pytest.mark.wired
async def test_handing_over_the_same_again_changes_nothing(service: Running) -> None:
    for version, documents in ((1, [COMPLAINT]), (1, [COMPLAINT]), (2, [LOW_SCORE]), (1, [COMPLAINT])):
        await service.situations(*documents, version=version)
    async with service.database.read() as tx:
        rows = await tx.rows("SELECT policy_version FROM situation_kinds ORDER BY seq")
    assert [row.policy_version for row in rows] == [1, 2]


@pytest.mark.wired
async def test_the_doors_are_for_the_services_alone(service: Running) -> None:
    headers = {"content-type": "application/msgpack"}
    assert (await service.http.post(SUPPRESSION_FACTS_PATH, content=b"\x80", headers=headers)).status_code == 401
    assert (await service.http.get(HOLDS_PATH)).status_code == 401
    service_key = {"Authorization": f"Bearer {SERVICE}"}
    assert (await service.http.get(HOLDS_PATH, headers=service_key)).content == b"\x90"


@pytest.mark.wired
async def test_a_database_of_another_address_key_refuses_to_start(service: Running) -> None:
    async with service.database.write() as tx:
        await tx.execute("UPDATE settled SET value = 'other'")
    with pytest.raises(AddressKeyMismatch):
        await service.service.start()


def test_the_keyed_hash_is_what_the_asker_sends() -> None:
    assert TOPIC == "customer.events" and hash_address(ADDRESS_KEY.encode(), "email", " A@b.c") == hash_address(
        ADDRESS_KEY.encode(), "email", "a@B.C"
    )
