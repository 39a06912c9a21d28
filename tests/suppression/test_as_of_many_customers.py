"""The history of many customers in one request equals that of each alone, with the holds apart."""

import random

import pytest

from schemas.addresses import hash_address
from schemas.service_api import CustomerAddressHashes
from schemas.times import SECOND
from tests.support.suppression_service import ADDRESS_KEY, COMPLAINT, LOW_SCORE, Running, event
from tests.suppression.test_as_of import something

pytestmark = pytest.mark.wired


async def test_it_is_what_each_question_alone_would_answer(service: Running) -> None:
    chance, state = random.Random(3), {"entries": list[str](), "holds": list[str]()}
    await service.situations(COMPLAINT, LOW_SCORE)
    start = service.clock.now()
    for number in range(25):
        service.clock.advance(chance.randrange(1, 90) * SECOND)
        await something(service, chance, number, state)
    await service.events(event("shop.complaint.filed", {"case": 1}, customer="c-2", id="e-2"))
    end = service.clock.now()
    known = (("email", hash_address(ADDRESS_KEY.encode(), "email", "ada@example.org")),)
    asked = [CustomerAddressHashes("c-1", known), CustomerAddressHashes("c-2"), CustomerAddressHashes("nobody")]
    since = start + (end - start) // 2
    answer = await service.client.read_recorded(asked, since, end)
    for each, states in zip(asked, answer.customers, strict=True):
        alone = await service.client.get_facts_at(each, since, end)
        assert states[-1].facts == alone.facts[-1].customer
        then = {past.at: past.customer for past in alone.facts}
        assert all(then[at] == facts for at, facts in {state.at: state.facts for state in states}.items())
    assert answer.customers[1][-1].by_event
    assert {hold.hold.key for hold in answer.holds} >= {hold.key for hold in alone.facts[-1].holds}
    assert answer.unknown == (await service.client.get_facts_at(asked[0], since, end)).unknown
