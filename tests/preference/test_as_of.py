"""Preferences rebuilt from the history equal the facts that were served at every version and instant."""

import random
from typing import Any

import msgspec
import pytest

from schemas.facts import Preference
from schemas.times import SECOND
from services.preference.as_of import rebuild_state
from services.preference.store import PreferenceHistoryItem
from tests.support.preference_service import NOW, Running, change

pytestmark = pytest.mark.wired

ADDRESS = {"channel": "email", "address": "ada@example.org", "verified": True}
CONSENT = {"channel": "email", "topic": "news", "status": "granted", "at": "2026-01-01T00:00:00.000001Z",
           "source": "shop", "wording": "w-1", "expires": "2027-01-01T00:00:00Z"}  # fmt: skip
QUIET = {"days": ["sat"], "from": "22:00", "to": "10:00"}
VALUES: dict[str, list[Any]] = {
    "locale": ["de-DE", "en", None],
    "zone": ["Europe/Berlin", None],
    "traits": [{"vip": True, "tags": ["a"]}, {"n": 1.5}, {}],
    "addresses": [[ADDRESS], [ADDRESS | {"former": "2026-01-01T00:00:00Z"}], []],
    "consent": [[CONSENT], []],
    "opt_outs": [[{"all": True}], [{"channel": "sms", "topic": "news"}, {"class": "marketing"}], []],
    "paused_until": ["2026-03-02T13:00:00Z", None],
    "channel_order": [["push", "email"], []],
    "frequency": [{"limit": 2, "per": "week"}, None],
    "quiet_hours": [[QUIET], []],
}


async def test_every_state_of_a_random_life_can_be_told_again(at_work: Running) -> None:
    chance = random.Random(7)
    seen: list[tuple[int, Preference]] = []
    for number in range(40):
        at_work.clock.advance(chance.randrange(1, 100) * SECOND)
        if chance.random() < 0.1:
            await at_work.publish_raw((b"c-1", b'{"type": "tactful.preference.changed", "subject": "c-1"}'))
            positions = await at_work.publish(
                change(f"e-{number}", at=NOW + number, kind="customer.identified", traits={"n": number})
            )
        else:
            names = chance.sample(sorted(VALUES), 3)
            fields = {name: chance.choice(VALUES[name]) for name in names}
            positions = await at_work.publish(change(f"e-{number}", at=NOW + number, **fields))
        seen.append((at_work.clock.now(), (await at_work.facts(["c-1"], positions))["c-1"]))
    for at, known in seen:
        then = await at_work.doors.get_facts_at("c-1", at=at)
        assert msgspec.structs.replace(then, version=known.version) == known
        assert then.version <= known.version, "a version in which nothing differed left no history"
        assert await at_work.doors.get_facts_at("c-1", version=known.version) == known
    assert any(known.quarantines for _, known in seen), "some were quarantined"


async def test_before_anything_was_known_and_of_nobody(at_work: Running) -> None:
    positions = await at_work.publish(change("e-1", locale="de"))
    await at_work.facts(["c-1"], positions)
    assert await at_work.doors.get_facts_at("c-1", at=at_work.clock.now() - 1) == Preference("c-1")
    assert await at_work.doors.get_facts_at("c-1", version=0) == Preference("c-1")
    assert await at_work.doors.get_facts_at("nobody", at=at_work.clock.now()) == Preference("nobody")


def test_what_was_taken_for_a_zone_or_a_country_once_is_told_as_it_was() -> None:
    item: dict[str, Any] = {
        "version": 1,
        "at": NOW,
        "recorded": NOW,
        "source": "api",
        "actor": None,
        "event_source": None,
    }
    changes = [
        PreferenceHistoryItem(seq=1, event_id=None, field=field, value=value, **item)
        for field, value in (("zone", "Factory"), ("country", "UK"), ("locale", "de-12"))
    ]
    known = rebuild_state("c-1", changes).preference
    assert (known.zone, known.country, known.locale) == ("Factory", "UK", "de-12")
