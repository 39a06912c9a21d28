"""The ledger in its database against a dictionary: whatever is planned, made, released, forgotten or raced for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from schemas.facts import Preference
from schemas.ids import compute_message_id, hash_event
from schemas.times import HOUR
from services.orchestrator.decisions import evaluator, store
from services.orchestrator.decisions.evaluation import CustomerEvaluation
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Contact, ContactState, Ledger
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.database_state_machine import Machine, ground, run_machine
from tests.support.policy_builders import facts

Change = Callable[[Ledger], Ledger]
KINDS = (
    MessageAttributes("alpha", "news", "email", "marketing", "advertise"),
    MessageAttributes("alpha", "news", "push", "marketing", "advertise"),
    MessageAttributes("beta", None, "sms", "transactional", None),
    MessageAttributes("", None, "in_app", "service", "inform"),
)
people = st.integers(0, 1)
numbers = st.integers(0, 4)
hours = st.integers(0, 20)
SETTLED: tuple[ContactState, ...] = ("made", "unknown", "planned")


class Entry(NamedTuple):
    """What the model remembers of a contact."""

    event: int
    kind: MessageAttributes
    priority: int
    at: int
    since: int
    state: str
    reported: bool


class Known(NamedTuple):
    """A customer in the model: the ledger, all that the ledger ever held, and how often it changed."""

    ledger: dict[str, Entry]
    ever: dict[str, Entry]
    complete_from: int = BEGINNING_OF_TIME
    version: int = 0


class Interrupted(Exception):
    """The process ends before it commits."""


def contact(customer: str, number: int, kind: MessageAttributes, hour: int, since: int) -> Contact:
    event = f"e-{number % 2}"
    name = compute_message_id(customer, "/shop", event, f"campaign-{number}", kind.channel if number == 4 else "email")
    return Contact(name, hash_event("/shop", event), kind, 10 * number, hour * HOUR, since * HOUR)


def seen(ledger: Ledger) -> dict[str, Entry]:
    return {each.message_id: Entry(*each[1:]) for each in ledger}


class LedgerMachine(Machine):
    """Every rule is one transaction, or two that race."""

    def __init__(self) -> None:
        super().__init__()
        self.known = {name: Known({}, {}) for name in self.names}

    async def _held(self, customer: str) -> VersionedLedger:
        async with self.ground.database.read() as tx:
            return (await store.load_ledgers(tx, [customer])).get(customer, store.EMPTY_LEDGER)

    async def _write(self, customer: str, change: Change, held: VersionedLedger, interrupted: bool = False) -> None:
        """Commits a change that was judged on `held`, once more if that is no longer the ledger."""

        def work(on: VersionedLedger) -> CustomerEvaluation:
            return CustomerEvaluation(customer, facts(chosen=Preference(customer)), (), on, change(on.ledger))

        async def again(_: CustomerEvaluation, newer: VersionedLedger) -> CustomerEvaluation:
            return work(newer)

        async with self.ground.database.write() as tx:
            await evaluator.write_evaluations(tx, [work(held)], 0, store.END_OF_TIME, again)
            if interrupted:
                raise Interrupted

    def _commit(self, customer: str, change: Change) -> None:
        async def whole() -> None:
            await self._write(customer, change, await self._held(customer))

        self.ground.run(whole())

    def _set(self, customer: str, message: str, entry: Entry) -> None:
        known = self.known[customer]
        ledger, ever = known.ledger | {message: entry}, known.ever | {message: entry}
        self.known[customer] = known._replace(ledger=ledger, ever=ever, version=known.version + 1)

    def _alter(self, customer: str, message: str, **fields: object) -> None:
        """Does to the model's contact, if it has it, what was done to the ledger's."""
        entry = self.known[customer].ledger.get(message)
        if entry is not None:
            self._set(customer, message, Entry(**{**entry._asdict(), **fields}))

    @rule(who=people, number=numbers, kind=st.sampled_from(KINDS), hour=hours, since=hours)
    def plan(self, who: int, number: int, kind: MessageAttributes, hour: int, since: int) -> None:
        """A message is planned, or planned anew."""
        planned = contact(self.names[who], number, kind, hour, since)
        self._commit(self.names[who], lambda ledger: ledger.put_contact(planned))
        self._set(self.names[who], planned.message_id, Entry(*planned[1:]))

    @rule(who=people, number=numbers, kind=st.sampled_from(KINDS), hour=hours)
    def report(self, who: int, number: int, kind: MessageAttributes, hour: int) -> None:
        """Another tool speaks of a contact."""
        reported = contact(self.names[who], number, kind, hour, hour)
        self._commit(self.names[who], lambda ledger: ledger.put_reported_contact(reported))
        entry = Entry(*reported[1:])._replace(state="made", reported=True)
        self._set(self.names[who], reported.message_id, entry)

    @rule(who=people, number=numbers, hour=hours)
    def mark(self, who: int, number: int, hour: int) -> None:
        """A planned message comes to the gate: from now on it counts at the time of the mark."""
        name = self.names[who]
        for message in list(self.known[name].ledger)[number : number + 1]:
            self._commit(name, lambda ledger, message=message: ledger.claim_contact(message, hour * HOUR))  # type: ignore[misc]
            self._alter(name, message, state="made", at=hour * HOUR)

    @rule(who=people, number=numbers, state=st.sampled_from(SETTLED))
    def settle(self, who: int, number: int, state: ContactState) -> None:
        """The handover ends; a contact that was forgotten stays so."""
        name = self.names[who]
        for message in list(self.known[name].ever)[number : number + 1]:
            self._commit(name, lambda ledger, message=message: ledger.set_contact_state(message, state))  # type: ignore[misc]
            self._alter(name, message, state=state)

    @rule(who=people, number=numbers)
    def release(self, who: int, number: int) -> None:
        """A message gives up its place."""
        name, known = self.names[who], self.known[self.names[who]]
        for message in list(known.ever)[number : number + 1]:
            self._commit(name, lambda ledger, message=message: ledger.release(message))  # type: ignore[misc]
            if message in known.ledger:
                ledger, ever = dict(known.ledger), dict(known.ever)
                del ledger[message], ever[message]
                self.known[name] = known._replace(ledger=ledger, ever=ever, version=known.version + 1)

    @rule(who=people, hour=hours)
    def forget(self, who: int, hour: int) -> None:
        """What no rule looks back at leaves the ledger, not the history."""
        name, known, before = self.names[who], self.known[self.names[who]], hour * HOUR
        self._commit(name, lambda ledger: ledger.forget(before))
        if before > known.complete_from:
            kept = {message: each for message, each in known.ledger.items() if is_kept(each, before)}
            self.known[name] = Known(kept, known.ever, before, known.version + 1)

    @rule(who=people, number=numbers, hour=hours)
    def interrupted(self, who: int, number: int, hour: int) -> None:
        """A transaction that does not commit leaves nothing."""
        name = self.names[who]
        planned = contact(name, number, KINDS[0], hour, hour)

        async def whole() -> None:
            await self._write(
                name, lambda ledger: ledger.put_contact(planned), await self._held(name), interrupted=True
            )

        with pytest.raises(Interrupted):
            self.ground.run(whole())

    @rule(who=people, pair=st.permutations(range(5)), hour=hours)
    def race(self, who: int, pair: list[int], hour: int) -> None:
        """Two writers judged on the same ledger: the later one judges again, and nobody's contact is lost."""
        name = self.names[who]
        both = [contact(name, number, KINDS[number % 3], hour, hour) for number in pair[:2]]

        async def together() -> None:
            held = await self._held(name)
            await asyncio.gather(
                *(self._write(name, lambda ledger, own=own: ledger.put_contact(own), held) for own in both)  # type: ignore[misc]
            )

        self.ground.run(together())
        for each in both:
            self._set(name, each.message_id, Entry(*each[1:]))

    @rule(who=people, hour=hours)
    def recall(self, who: int, hour: int) -> None:
        """A longer rule reads back what the ledger has forgotten."""
        name, known, since = self.names[who], self.known[self.names[who]], hour * HOUR

        async def read() -> dict[str, VersionedLedger]:
            async with self.ground.database.read() as tx:
                return await store.load_ledgers(tx, [name], since)

        held = self.ground.run(read()).get(name)
        if held is not None and known.complete_from > since:
            expected = {message: each for message, each in known.ever.items() if is_kept(each, since)}
            assert (seen(held.ledger), held.ledger.complete_from) == (expected, since)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        for name, known in self.known.items():
            held = self.ground.run(self._held(name))
            assert (seen(held.ledger), held.ledger.complete_from) == (known.ledger, known.complete_from)
            assert held.version == known.version
            times = [each.at for each in held.ledger]
            assert times == sorted(times)


def is_kept(entry: Entry, before: int) -> bool:
    """Whether a ledger that forgets what was made before still holds it."""
    return entry.at >= before or entry.state == "planned"


@pytest.mark.wired
def test_the_ledger_keeps_what_a_dictionary_keeps(database_url: str) -> None:
    with ground(database_url, "services.orchestrator") as here:
        run_machine(LedgerMachine, here)


def test_an_overdue_message_gives_up_its_place_in_the_history_too() -> None:
    """It was planned for an instant that the ledger no longer keeps; a later reading must not bring it back."""
    planned = contact("c-1", 0, KINDS[0], 1, 1)
    before = Ledger.empty().put_contact(planned).forget(5 * HOUR)
    [row] = store.contact_history_rows("c-1", before, before.release(planned.message_id), 6 * HOUR)
    assert row[:3] == ("c-1", planned.message_id, "released")
    made = Ledger.empty().put_contact(planned._replace(state="made"))
    assert store.contact_history_rows("c-1", made, made.forget(5 * HOUR), 6 * HOUR) == []
