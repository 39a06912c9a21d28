"""Suppressions rebuilt from the history equal the facts that were served at every instant."""

import random
from typing import Any

import msgspec
import pytest

from schemas.addresses import hash_address
from schemas.facts import HoldFact, Suppressions
from schemas.service_api import CustomerAddressHashes
from schemas.times import DAY, HOUR, SECOND, format_instant
from services.kit.bus.protocol import Outgoing
from tests.support.suppression_service import ADDRESS_KEY, COMPLAINT, LOW_SCORE, TOPIC, Running, event

pytestmark = pytest.mark.wired

ASKED = CustomerAddressHashes("c-1", (("email", hash_address(ADDRESS_KEY.encode(), "email", "ada@example.org")),))


def plain(facts: Suppressions) -> Suppressions:
    """Without the version, which no rule looks at, and which the history does not keep."""
    return msgspec.structs.replace(facts, version=0)


def live(holds: tuple[HoldFact, ...], at: int) -> list[HoldFact]:
    """The holds that any rule may mind."""
    return [hold for hold in holds if hold.until is None or hold.until > at]


async def something(service: Running, chance: random.Random, number: int, state: dict[str, list[str]]) -> None:
    """One change of what is known, of any kind."""
    match chance.randrange(8):
        case 0 | 1:
            kind = chance.choice(("shop.complaint.filed", "shop.complaint.resolved", "tactful.feedback.given"))
            said: dict[str, Any] = {"case": chance.randrange(2), "score": chance.choice((3, 10))}
            await service.events(event(kind, said, id=f"e-{number}", time=service.clock.now() - HOUR))
        case 2:
            expires: dict[str, Any] = {} if chance.random() < 0.5 else {"expires": "2026-04-01T00:00:00Z"}
            row = {"customer": "c-1", "reason": "manual", "scope": {"topic": f"t-{number}"}, **expires}
            state["entries"].append((await service.http.post("/v1/suppressions", json=row)).json()["id"])
        case 3 if state["entries"]:
            entry = state["entries"].pop()
            await service.remove(entry)
        case 4:
            row = {"address": "ada@example.org", "reason": "hard_bounce", "scope": {"topic": f"a-{number}"}}
            assert (await service.http.post("/v1/suppressions", json=row)).status_code == 200
        case 5:
            hold: dict[str, Any] = {
                "key": f"h-{number}",
                "mode": "defer",
                "scope": {},
                "until": None,
                "reason": "an outage",
            }
            assert (await service.http.post("/v1/holds", json=hold)).status_code < 300
            state["holds"].append(str(hold["key"]))
        case 7:
            began = chance.choice((None, service.clock.now() - chance.randrange(1, 30) * HOUR))
            data: dict[str, Any] = {"kind": "complaint", "ref": chance.randrange(2)}
            data |= {"withdrawn": True} if began is None else {"opened": format_instant(began)}
            corrected = event("tactful.situation.corrected", data, id=f"e-{number}", time=service.clock.now())
            await service.events(corrected)
        case 6 if state["holds"]:
            await service.http.post(f"/v1/holds/{state['holds'].pop()}/lift", json={"reason": "over"})
        case _:
            await service.settle(await service.publish(Outgoing(TOPIC, b"c-1", b"not an event")))


async def test_every_state_of_a_random_life_can_be_told_again(service: Running) -> None:
    await service.situations(COMPLAINT, LOW_SCORE)
    chance, state = random.Random(11), {"entries": list[str](), "holds": list[str]()}
    seen = []
    for number in range(40):
        service.clock.advance(chance.randrange(1, 5) * HOUR)
        await something(service, chance, number, state)
        seen.append((service.clock.now(), await service.client.get_facts([ASKED], {})))
    for at, answer in seen:
        past = await service.client.get_facts_at(ASKED, at, at)
        assert len(past.facts) == 1 and past.unknown == 0
        then = past.facts[0]
        assert plain(then.customer) == plain(answer.customers[0])
        assert live(then.holds, at) == live(answer.holds, at)
    assert {len(answer.customers[0].situations) for _, answer in seen} >= {0, 1, 2}
    assert any(answer.customers[0].quarantines for _, answer in seen)


async def test_each_change_between_two_instants_is_told(service: Running) -> None:
    await service.situations(COMPLAINT)
    since = service.clock.now()
    for number, kind in enumerate(("filed", "resolved")):
        service.clock.advance(SECOND)
        await service.events(event(f"shop.complaint.{kind}", {"case": 1}, id=f"e-{number}"))
    service.clock.advance(SECOND)
    facts = (await service.client.get_facts_at(ASKED, since, service.clock.now())).facts
    assert [each.at - since for each in facts] == [0, SECOND, 2 * SECOND]
    assert [[item.closed is not None for item in each.customer.situations] for each in facts] == [[], [False], [True]]


async def test_an_entry_of_an_address_that_was_removed_is_said_to_be_unknown(service: Running) -> None:
    row = {"address": "ada@example.org", "reason": "hard_bounce"}
    added = (await service.http.post("/v1/suppressions", json=row)).json()["id"]
    then = service.clock.now()
    service.clock.advance(DAY)
    assert len((await service.client.get_facts_at(ASKED, then, then)).facts[0].customer.entries) == 1
    await service.remove(added)
    past = await service.client.get_facts_at(ASKED, then, then)
    assert (past.facts[0].customer.entries, past.unknown) == ((), 1)
    later = service.clock.now()
    assert (await service.client.get_facts_at(ASKED, later, later)).unknown == 0
