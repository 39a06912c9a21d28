"""The preference store against a model that keeps every change and computes each answer from all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from schemas.event import Event
from schemas.own_events import CUSTOMER_IDENTIFIED, PREFERENCE_CHANGED
from schemas.times import HOUR, format_instant
from services.erasure.erased_customers import ErasedCustomers
from services.preference import preference_state as preference
from services.preference import store
from services.preference.preference_state import PreferenceState
from tests.support.database_state_machine import Machine, ground, run_machine
from tests.support.event_checks import apply_preference_event
from tests.support.preference_model import Wishes

pytestmark = pytest.mark.wired

Change = Callable[[PreferenceState], PreferenceState | None]
people = st.integers(0, 1)
hours = st.integers(0, 6)
"""Few, so that late changes and equal times are common."""
channels = st.sampled_from(["email", "push", "sms"])
traits = st.dictionaries(st.sampled_from(["vip", "tier", "name"]), st.sampled_from([True, 1, "gold"]), max_size=2)
merged_traits = st.dictionaries(st.sampled_from(["vip", "tier"]), st.sampled_from([None, False, 2]), max_size=2)
addresses = st.lists(
    st.fixed_dictionaries(
        {
            "channel": st.just("email"),
            "address": st.sampled_from(["a@example.org", "A@Example.org", "b@example.org", "c@example.org"]),
            "verified": st.booleans(),
        }
    ),
    max_size=2,
    unique_by=lambda each: str(each["address"]).lower(),
)
plain: dict[str, st.SearchStrategy[Any]] = {
    "locale": st.sampled_from([None, "en", "de-DE"]),
    "country": st.sampled_from([None, "DE", "PT"]),
    "zone": st.sampled_from([None, "Europe/Berlin", "Etc/UTC"]),
}
chosen: dict[str, st.SearchStrategy[Any]] = {
    "opt_outs": st.lists(st.sampled_from([{"all": True}, {"class": "marketing"}, {"topic": "news"}]), max_size=2),
    "paused_until": st.one_of(st.none(), hours.map(lambda hour: format_instant(hour * HOUR))),
    "channel_order": st.lists(channels, max_size=2, unique=True),
    "frequency": st.sampled_from([None, {"limit": 2, "per": "week"}]),
    "quiet_hours": st.lists(st.sampled_from([{"days": ["sat", "sun"], "from": "22:00", "to": "10:00"}]), max_size=1),
}


def some(fields: dict[str, st.SearchStrategy[Any]], least: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """One to three of the fields."""
    names = st.lists(st.sampled_from(sorted(fields)), min_size=least, max_size=3, unique=True)
    return names.flatmap(lambda given: st.fixed_dictionaries({name: fields[name] for name in given}))


everything = some({**plain, **chosen, "traits": traits, "addresses": addresses}, least=1)


class PreferenceMachine(Machine):
    """Every rule is one transaction, or two that race."""

    def __init__(self) -> None:
        super().__init__()
        self.wishes = {name: Wishes() for name in self.names}
        self.events = 0

    async def _write(self, customer: str, change: Change) -> None:
        """As the service does it: lock, change, save with its history."""
        async with self.ground.database.write() as tx:
            before = (await store.lock_states(tx, [customer], None, ErasedCustomers(b"key")))[customer]
            after = change(before)
            if after is not None:
                assert after.version == before.version + 1
                await store.save_updates(tx, [store.StateUpdate(before, after, store.ChangeCause("event", 0, 0))])

    async def _read(self, customer: str) -> PreferenceState:
        async with self.ground.database.read() as tx:
            return (await store.get_states(tx, [customer], None)).get(customer) or preference.empty_state(customer)

    def _event(self, customer: str, kind: str, data: dict[str, Any], hour: int) -> Change:
        self.events += 1
        raw = msgspec.Raw(msgspec.json.encode(data))
        event = Event(f"e-{self.events}", "/shop", kind, customer, hour * HOUR, raw)
        return lambda state: apply_preference_event(state, event, data)

    @rule(who=people, fields=everything, hour=hours)
    def changed(self, who: int, fields: dict[str, Any], hour: int) -> None:
        """Fields are replaced, by events that may be late."""
        name = self.names[who]
        self.ground.run(self._write(name, self._event(name, PREFERENCE_CHANGED, fields, hour)))
        self.wishes[name].changed(understood(fields), hour * HOUR)

    @rule(who=people, fields=some(plain), own=merged_traits, reached=addresses, hour=hours)
    def identified(self, who: int, fields: dict[str, Any], own: dict[str, Any], reached: list[Any], hour: int) -> None:
        """Traits and addresses are merged."""
        name = self.names[who]
        data = fields | {"traits": own, "addresses": reached}
        self.ground.run(self._write(name, self._event(name, CUSTOMER_IDENTIFIED, data, hour)))
        self.wishes[name].identified(fields, own, reached, hour * HOUR)

    @rule(who=people, fields=everything, hour=hours)
    def patched(self, who: int, fields: dict[str, Any], hour: int) -> None:
        """A person changes fields now."""
        name = self.names[who]
        self.ground.run(self._write(name, lambda state: preference.apply_patch(state, fields, hour * HOUR)))
        self.wishes[name].patched(understood(fields), hour * HOUR)

    @rule(who=people, hour=hours)
    def quarantined(self, who: int, hour: int) -> None:
        """A change came that cannot be read. It changes nothing that the customer has chosen."""
        name = self.names[who]
        self.ground.run(self._write(name, lambda state: preference.quarantine(state, ("t", 0, hour), hour * HOUR)))

    @rule(who=people, zone=plain["zone"], locale=plain["locale"], hour=hours)
    def race(self, who: int, zone: str | None, locale: str | None, hour: int) -> None:
        """Two writers at once: neither wipes out what the other set."""
        name = self.names[who]
        first = self._event(name, CUSTOMER_IDENTIFIED, {"zone": zone}, hour)
        second = self._event(name, CUSTOMER_IDENTIFIED, {"locale": locale}, hour)

        async def together() -> None:
            await asyncio.gather(self._write(name, first), self._write(name, second))

        self.ground.run(together())
        self.wishes[name].identified({"zone": zone}, {}, [], hour * HOUR)
        self.wishes[name].identified({"locale": locale}, {}, [], hour * HOUR)

    @invariant()
    def the_document_is_as_the_model_says(self) -> None:
        for name, wishes in self.wishes.items():
            state = self.ground.run(self._read(name))
            found = preference.state_document(state)
            expected = wishes.document()
            until = expected["paused_until"]
            expected["paused_until"] = None if until is None else format_instant(until)
            assert found == {"customer": name, **expected}
            assert preference.to_facts(state).paused_until == wishes.paused_until()

    @invariant()
    def the_history_ends_with_the_document(self) -> None:
        async def latest(name: str) -> dict[str, Any]:
            async with self.ground.database.read() as tx:
                return {item.field: item.value for item in reversed(await store.list_history(tx, name, None, 1000))}

        for name in self.names:
            last = self.ground.run(latest(name))
            now = preference.state_document(self.ground.run(self._read(name)))
            assert {field: now[field] for field in last if field in now} == {k: v for k, v in last.items() if k in now}


def understood(fields: dict[str, Any]) -> dict[str, Any]:
    """Instants as numbers, as the model compares them."""
    if fields.get("paused_until") is None:
        return fields
    hour = int(fields["paused_until"][11:13])
    return fields | {"paused_until": hour * HOUR}


def test_preferences_are_what_all_changes_make_them(database_url: str) -> None:
    with ground(database_url, "services.preference") as here:
        run_machine(PreferenceMachine, here)
