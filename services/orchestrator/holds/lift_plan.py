"""What lifting a hold would send: who waits because of it is judged as if it were gone. Nothing changes.

`now`: all at this instant, each by itself, without caps and gaps. `after_caps`: each at its turn of the release, by
every rule, after what was released to the same customer before it. Other holds stay. Nothing is rendered.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from schemas.decision import Decision
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.clients.orchestrator import HoldPlan, Planned, Tally
from services.kit.bus.fence import committed
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions import store
from services.orchestrator.decisions.commit import held_by
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.decisions.stored_trigger import touch_again
from services.orchestrator.holds import store as hold_store
from services.orchestrator.holds.release import turns
from services.orchestrator.policy.compiled_policy import Policy, compile_policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import Judged, decide
from services.orchestrator.policy.horizon import look_back
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Catalogue, Touch

MOST = 10_000
"""Messages that are judged at most."""
CUSTOMERS = 200
"""Customers whose facts are asked for at once."""
SAMPLE = 3
"""Messages that are shown of each outcome and reason."""


class Waiter(NamedTuple):
    """A message that waits, and when its turn would be."""

    row: Row[Any]
    turn: Instant


@dataclass(slots=True)
class Sums:
    """What has been judged so far."""

    now: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    after_caps: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    shown: Counter[tuple[str, str]] = field(default_factory=Counter)
    sample: list[Planned] = field(default_factory=list)

    def add(self, waiter: Waiter, alone: Decision, released: Decision) -> None:
        """A message has been judged both ways."""
        self.now[_kind(alone)] += 1
        self.after_caps[_kind(released)] += 1
        self.shown[released.outcome, released.reason] += 1
        if self.shown[released.outcome, released.reason] <= SAMPLE:
            self.sample.append(Planned(waiter.row.message_id, *_kind(released), waiter.turn, released.until))


@dataclass(frozen=True, slots=True)
class HoldPlanner:
    """What plans are made with."""

    database: Database
    snapshot: Snapshot
    gatherer: Gatherer
    clock: Clock

    async def plan(self, key: str, rate: int) -> HoldPlan:
        """What lifting the hold now, with a release at `rate` messages a second, would do. Raises Transient."""
        now = self.clock.now()
        async with self.database.read() as tx:
            catalogue = await self.snapshot.current(tx)
            waiting = await hold_store.count(tx, key)
            rows = await hold_store.behind(tx, key, MOST)
        given, _ = turns(len(rows), rate, now, now)
        of_customers: dict[str, list[Waiter]] = {}
        for waiter in map(Waiter, rows, given):
            of_customers.setdefault(waiter.row.customer, []).append(waiter)
        sums, names = Sums(), list(of_customers)
        for start in range(0, len(names), CUSTOMERS):
            part = {name: of_customers[name] for name in names[start : start + CUSTOMERS]}
            await self._judge(part, key, catalogue, now, sums)
        return HoldPlan(
            at=now,
            waiting=waiting,
            judged=len(rows),
            seconds=max(0, -(-waiting // rate) - 1),
            expired=sum(count for kind, count in sums.after_caps.items() if kind[-1] == Reason.EXPIRED),
            now=_tallies(sums.now),
            after_caps=_tallies(sums.after_caps),
            sample=tuple(sorted(sums.sample, key=lambda item: (item.turn, item.message_id))),
        )

    async def _judge(
        self, part: Mapping[str, Sequence[Waiter]], key: str, catalogue: Catalogue, now: Instant, sums: Sums
    ) -> None:
        since = look_back(catalogue.policy, catalogue.campaigns.values(), now)
        events_of = [
            (waiter.row.customer, waiter.row.event_source, waiter.row.event_id)
            for waiters in part.values()
            for waiter in waiters
        ]
        async with self.database.read() as tx:
            positions = await committed(tx)
            events = await store.stored_events(tx, events_of)
            ledgers = await store.ledgers(tx, list(part), since)
        facts = await self.gatherer.facts(list(part), catalogue, positions)
        uncapped = _uncapped(catalogue.policy)
        for customer, waiters in part.items():
            free = _without(facts[customer], key)
            ledger = held_by(ledgers, customer).ledger
            touched = [(waiter, self._touch(waiter.row, events, catalogue)) for waiter in waiters]
            _both(touched, free, uncapped, ledger, now, sums)

    def _touch(self, row: Row[Any], events: Mapping[store.EventKey, bytes], catalogue: Catalogue) -> Touch:
        event = events[row.customer, row.event_source, row.event_id]
        return touch_again(event, row.campaign, row.channel, row.since, catalogue, self.snapshot)


def _both(
    touched: Sequence[tuple[Waiter, Touch]], facts: Facts, uncapped: Policy, ledger: Ledger, now: Instant, sums: Sums
) -> None:
    """Judge one customer's messages both ways."""
    wishless = msgspec.structs.replace(facts.preference, frequency=None)
    alone, after = Facts(wishless, facts.suppressions, facts.holds, uncapped, facts.configured), ledger
    for waiter, touch in touched:
        first = decide([touch], alone, ledger, now)
        then = decide([touch], facts, after, waiter.turn, delivered=True)
        after = then.ledger
        message = waiter.row.message_id
        sums.add(waiter, _decided(first, message), _decided(then, message))


def _decided(judged: Judged, message_id: str) -> Decision:
    """What becomes of a message: of a choice, the decision about the channel that is chosen."""
    decisions = {decision.message_id: decision for decision in judged.decisions}
    chosen = judged.planned[0].message_id if judged.planned else message_id
    return decisions.get(chosen, judged.decisions[0])


def _without(facts: Facts, key: str) -> Facts:
    """The facts as if the hold were gone."""
    holds = tuple(hold for hold in facts.holds if hold.key != key)
    return Facts(facts.preference, facts.suppressions, holds, facts.policy, facts.configured)


def _uncapped(policy: Policy) -> Policy:
    """The policy without caps and gaps."""
    return compile_policy(policy.document.model_copy(update={"frequency_caps": (), "min_gaps": ()}), policy.version)


def _kind(decision: Decision) -> tuple[str, str, str, str]:
    return decision.campaign, decision.channel, decision.outcome, decision.reason


def _tallies(counts: Counter[tuple[str, str, str, str]]) -> tuple[Tally, ...]:
    """The largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Tally(*kind, messages) for kind, messages in ordered)
