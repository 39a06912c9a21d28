"""The gate: after the mark, fresh facts and the same rules once more; who is refused is judged again in full.

A refusal is written under the lock of the customer's ledger: the attempt is closed, the contact goes back, and all
channels of that event and campaign are judged with the facts at hand, a line for each.
"""

from collections.abc import Mapping, Sequence

import msgspec

from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.bus.fence import committed
from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions import commit, store
from services.orchestrator.decisions.evaluation import Question, Work, judge
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.decisions.store import Held
from services.orchestrator.decisions.stored_trigger import touch_again, touch_now
from services.orchestrator.delivery import attempts
from services.orchestrator.delivery.attempts import Closing
from services.orchestrator.delivery.claim import Marked
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.policy.candidate import AHEAD
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.horizon import look_back
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Catalogue, Touch
from services.orchestrator.policy.recheck import as_before, at_gate


class Look(msgspec.Struct, frozen=True):
    """What the gate saw: facts read after the mark, and the events behind the messages."""

    catalogue: Catalogue
    facts: Mapping[str, Facts]
    touches: Mapping[str, Touch]
    """Of those that had to be judged."""
    refused: frozenset[str]
    since: Instant
    """No rule looks back further."""


class Gate:
    """Looks at marked messages once more, and takes back those that may not go."""

    def __init__(
        self,
        database: Database,
        snapshot: Snapshot,
        gatherer: Gatherer,
        renderer: Renderer,
        clock: Clock,
        topics: Sequence[str],
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._gatherer = gatherer
        self._renderer = renderer
        self._clock = clock
        self._topics = frozenset(topics)

    async def look(self, marked: Sequence[Marked]) -> Look:
        """Judge the messages on facts that are fresher than their marks. Raises Transient when there are none."""
        async with self._database.read() as tx:
            catalogue = await self._snapshot.current(tx)
            positions = {place: offset for place, offset in (await committed(tx)).items() if place[0] in self._topics}
            keys = [(item.customer, item.event_source, item.event_id) for item in marked if item.touch is None]
            events = await store.stored_events(tx, keys)
            now = self._clock.now()
            since = look_back(catalogue.policy, catalogue.campaigns.values(), now)
            ledgers = await _complete(tx, marked, since)
        known = {item.customer: item.facts for item in marked if item.facts is not None}
        facts = await self._gatherer.facts(sorted({item.customer for item in marked}), catalogue, positions, known)
        now = self._clock.now()
        touches: dict[str, Touch] = {}
        refused: set[str] = set()
        for item, ledger in zip(marked, ledgers, strict=True):
            fresh = facts[item.customer]
            if self._as_decided(item, fresh, catalogue, now):
                continue
            touch = touches[item.message_id] = self._touch(item, catalogue, events)
            if at_gate(touch, item.channel, fresh, ledger, item.marked_at, now):
                refused.add(item.message_id)
        return Look(catalogue, facts, touches, frozenset(refused), since)

    def _as_decided(self, item: Marked, facts: Facts, catalogue: Catalogue, now: Instant) -> bool:
        """Whether judging again would find what was found when it was decided: see deciding/gate.py."""
        touch = item.touch
        if touch is None or not item.alone or facts is not item.facts:
            return False
        return catalogue.campaigns.get(item.campaign) is touch.campaign and as_before(touch, facts, item.marked_at, now)

    def _touch(self, item: Marked, catalogue: Catalogue, events: Mapping[store.EventKey, bytes]) -> Touch:
        at = (item.campaign, item.channel, item.since, catalogue, self._snapshot)
        if item.touch is not None:
            return touch_now(item.touch.event, item.touch.data, *at)
        return touch_again(events[item.customer, item.event_source, item.event_id], *at)

    async def refuse(self, marked: Sequence[Marked], look: Look) -> list[Work]:
        """Take these back: close their attempts and judge them again, in one transaction."""
        if not marked:
            return []
        now = self._clock.now()
        async with self._database.write() as tx:
            held = await store.lock_and_read(tx, [item.customer for item in marked], look.since)
            ours = await self._close(tx, marked, now)
            works = [self._judged(item, held[item.customer], look, now) for item in ours]
            return await self._write(tx, works, look, now)

    async def _close(self, tx: Tx, marked: Sequence[Marked], now: Instant) -> list[Marked]:
        closings = [Closing(item.message_id, item.number, "cancelled", None) for item in marked]
        closed = await attempts.close_all(tx, closings, now)
        return [item for item in marked if (item.message_id, item.number) in closed]

    def _judged(self, item: Marked, held: Held, look: Look, now: Instant) -> Work:
        question = Question(
            touches=(look.touches[item.message_id],), expected={item.message_id: MessageState.HANDING_OVER.value}
        )
        return self._again(item.customer, look.facts[item.customer], [question], held, look, now)

    def _again(
        self, customer: str, facts: Facts, questions: Sequence[Question], held: Held, look: Look, now: Instant
    ) -> Work:
        """Judge with the messages' contacts planned once more, for a ledger on which they are made."""
        ledger = held.ledger
        for question in questions:
            for message in question.expected or ():
                ledger = ledger.settle(message, "planned")
        back = Held(held.version, ledger)
        work = judge(customer, facts, questions, back, now, look.since, self._renderer.render, ahead=AHEAD)
        work.held = held
        return work

    async def _write(self, tx: Tx, works: Sequence[Work], look: Look, now: Instant) -> list[Work]:
        """Several messages of one customer are judged one after the other, each on the ledger that the last left."""

        def again(work: Work, held: Held) -> Work:
            return self._again(work.customer, work.facts, work.questions, held, look, now)

        written: list[Work] = []
        for turn in _turns(works):
            written += await commit.write(tx, turn, now, look.since, again)
        return written


async def _complete(tx: Tx, marked: Sequence[Marked], since: Instant) -> list[Ledger]:
    """The ledgers as they were at the marks, or, where those look back too little, as the history has them now."""
    return [
        item.ledger if item.ledger.complete_from <= since else await store.recalled(tx, item.customer, since)
        for item in marked
    ]


def _turns(works: Sequence[Work]) -> list[list[Work]]:
    """The works in rounds in which no customer appears twice."""
    turns: list[list[Work]] = []
    count: dict[str, int] = {}
    for work in works:
        turn = count[work.customer] = count.get(work.customer, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(work)
    return turns
