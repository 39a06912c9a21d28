"""The evaluator: reads the catalogue, facts and ledgers of a batch of customers, evaluates them, writes the result.

Pipeline, scheduler, recheck and the plan for lifting a hold evaluate through it, so that one place knows in which order
things are read. What is evaluated again is read in this order: the catalogue, the fence that we have committed
(facts_fence.py) and the stored events, in one snapshot; then facts no older than the fence; then the ledgers.
Replay and audit evaluate facts of the past: they pass their own facts and ledgers to `evaluate_customer` and
`recheck_rules`, the same pure functions.

A ledger may change between reading and writing. Optimistic concurrency: `write` writes ledgers of fresh events on the
versions that they were read with. If one has changed, or a waiting message is evaluated, it locks the rows in customer
order, compares their versions, and evaluates a customer again, under the lock, whose ledger has changed.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from schemas.event import decode_event
from schemas.own_events import read_stored_data
from schemas.times import Instant
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database, Tx
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import message_life, message_store, store
from services.orchestrator.decisions.evaluation import (
    LIVE,
    NO_STATES,
    CustomerEvaluation,
    EvaluationMode,
    EvaluationRequest,
    RenderMessage,
    evaluate_in_steps,
)
from services.orchestrator.decisions.facts_fence import FactsFence, load_facts_fence
from services.orchestrator.decisions.facts_reader import NO_KNOWN_FACTS, FactsReader
from services.orchestrator.decisions.fallback_store import FallbackMessages, GivesReceipts, load_fallback_messages
from services.orchestrator.decisions.store import EMPTY_LEDGER, EventKey, ReceivedEvent, VersionedLedger
from services.orchestrator.decisions.stored_trigger import StoredMessage, rebuild_triggered
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.horizon import look_back_start
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign

RefreshRequests = Callable[[Tx, CustomerEvaluation], Awaitable[Sequence[EvaluationRequest] | None]]
Reevaluate = Callable[[CustomerEvaluation, VersionedLedger], Awaitable[CustomerEvaluation]]
ClaimMessages = Callable[[Sequence[CustomerEvaluation]], Awaitable[None]]


class EvaluationInput(msgspec.Struct, frozen=True):
    """What a batch is evaluated on: one catalogue, and facts and ledgers as they were read.

    `complete_since`: no rule looks back further, so ledgers must be complete from then on. `events`: the structured
    JSON of stored events.
    """

    catalogue: Catalogue
    complete_since: Instant
    facts: Mapping[str, Facts]
    ledgers: Mapping[str, VersionedLedger]
    events: Mapping[EventKey, bytes]

    def ledger_of(self, customer: str) -> VersionedLedger:
        """The customer's ledger as it was read; an empty one of version 0 where there is no row yet."""
        return self.ledgers.get(customer, EMPTY_LEDGER)


class Evaluator:
    """Evaluates batches. `topics`: the topics of events whose positions facts must have caught up with.

    `gives_receipts`: whether the provider behind an adapter, given by its name, tells later what became of messages.
    """

    def __init__(
        self,
        database: Database,
        snapshot: CatalogueSnapshot,
        facts_reader: FactsReader,
        render: RenderMessage,
        topics: Collection[str],
        gives_receipts: GivesReceipts,
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._facts_reader = facts_reader
        self._render = render
        self._topics = frozenset(topics)
        self._gives_receipts = gives_receipts
        self.loop_share = LoopShare()
        """What evaluating takes of the event loop."""
        self.batches = 0
        """How many batches were evaluated so far. Work that can wait rests longer while there are any."""

    async def read_catalogue(self) -> Catalogue:
        """The campaigns and the policy that are in force now."""
        async with self._database.read() as tx:
            return await self._snapshot.get_catalogue(tx)

    async def read_catalogue_and_fence(self) -> tuple[Catalogue, FactsFence]:
        """The catalogue in force, and how far facts must have applied the log by what we have committed."""
        async with self._database.read() as tx:
            return await self._snapshot.get_catalogue(tx), await load_facts_fence(tx)

    async def read_for_events(
        self,
        event_keys: Sequence[EventKey],
        catalogue: Catalogue,
        positions: Mapping[Partition, int],
        now: Instant,
    ) -> tuple[EvaluationInput, set[EventKey]]:
        """What fresh events are evaluated on, and which of them have been decided before. Raises Transient.

        Facts are no older than `positions`, those of the batch's fence.
        """
        complete_since = look_back_start(catalogue.policy, catalogue.campaigns.values(), now)
        customers = list(dict.fromkeys(key[0] for key in event_keys))
        facts = await self._facts_reader.read_facts(customers, catalogue, positions)
        # Facts may wait for the fence, so the ledgers are read after them: fewer customers are evaluated twice.
        async with self._database.read() as tx:
            known_keys = await store.known_event_keys(tx, event_keys)
            known_events = await store.load_events(tx, sorted(known_keys))
            ledgers = await store.load_ledgers(tx, customers, complete_since)
        return EvaluationInput(catalogue, complete_since, facts, ledgers, known_events), known_keys

    async def read_for_messages(
        self,
        customers: Iterable[str],
        event_keys: Sequence[EventKey],
        now: Instant,
        *,
        known: Mapping[str, Facts] = NO_KNOWN_FACTS,
        with_ledgers: bool = True,
        catalogue: Catalogue | None = None,
    ) -> EvaluationInput:
        """What stored messages are evaluated on again. Raises Transient.

        Facts are no older than our committed fence; of those in `known` only changes are asked for.
        `event_keys`: the events to load. A recheck does without ledgers, because it has those of the claims.
        `catalogue`: one that was read before, for several batches of one answer; otherwise the current one.
        """
        async with self._database.read() as tx:
            catalogue = catalogue or await self._snapshot.get_catalogue(tx)
            # What we have committed so far, not what we have polled (Fence/no-fence-when-again in docs/protocols).
            positions = {
                partition: offset
                for partition, offset in (await load_facts_fence(tx)).positions.items()
                if partition[0] in self._topics
            }
            events = await store.load_events(tx, event_keys)
        ordered = sorted(set(customers))
        facts = await self._facts_reader.read_facts(ordered, catalogue, positions, known)
        complete_since = look_back_start(catalogue.policy, catalogue.campaigns.values(), now)
        ledgers: Mapping[str, VersionedLedger] = {}
        if with_ledgers:
            async with self._database.read() as tx:
                ledgers = await store.load_ledgers(tx, ordered, complete_since)
        return EvaluationInput(catalogue, complete_since, facts, ledgers, events)

    async def complete_ledgers(
        self, ledgers: Sequence[tuple[str, Ledger]], complete_since: Instant
    ) -> Sequence[Ledger]:
        """These customers' ledgers, complete from an instant on.

        A ledger that has forgotten what lies after it, because a longer rule came into force, is rebuilt from the
        history.
        """
        completed = [ledger for _, ledger in ledgers]
        if any(ledger.complete_from > complete_since for ledger in completed):
            async with self._database.read() as tx:
                for index, (customer, ledger) in enumerate(ledgers):
                    if ledger.complete_from > complete_since:
                        completed[index] = await store.rebuild_ledger(tx, customer, complete_since)
        return completed

    def rebuild_triggered(
        self, inputs: EvaluationInput, message: StoredMessage, known: TriggeredCampaign | None = None
    ) -> TriggeredCampaign:
        """What triggered a stored message, with its campaign as it is now; `known` has the event in memory already.

        Raises LookupError when no version of the campaign ever ran.
        """
        campaign = inputs.catalogue.campaigns.get(message.campaign)
        campaign = campaign or self._snapshot.get_launched_campaign(message.campaign)
        if campaign is None:
            raise LookupError(f"the campaign {message.campaign} is gone")
        if known is None:
            event = decode_event(inputs.events[message.event_key])
            data = read_stored_data(event)
        else:
            event, data = known.event, known.data
        return rebuild_triggered(event, data, campaign, (message.channel,), message.first_planned)

    async def requests_of_choices(
        self, tx: Tx, choices: Sequence[tuple[TriggeredCampaign, Mapping[str, str]]]
    ) -> list[EvaluationRequest]:
        """One request for each of these triggered campaigns, with all messages of its event that wait, and with what
        became of the channels that were tried before. For campaigns that fall back, or did.

        Beside each: the messages that are evaluated again, with the states in which they were read.
        """
        own_ids = {id for _, states in choices for id in states}
        found = await load_fallback_messages(tx, [triggered for triggered, _ in choices], own_ids, self._gives_receipts)
        return [
            _request_of_choice(triggered, {**messages.waiting_states, **states}, messages)
            for (triggered, states), messages in zip(choices, found, strict=True)
        ]

    async def evaluate(
        self,
        inputs: EvaluationInput,
        customer: str,
        requests: Sequence[EvaluationRequest],
        base: VersionedLedger,
        now: Instant,
        mode: EvaluationMode = LIVE,
    ) -> CustomerEvaluation:
        """Evaluate one customer on this ledger, with turns for other tasks in between."""
        return await self.loop_share.run(
            evaluate_in_steps(
                customer, inputs.facts[customer], requests, base, now, inputs.complete_since, self._render, mode
            )
        )

    async def evaluate_all(
        self, inputs: EvaluationInput, requests: Mapping[str, Sequence[EvaluationRequest]], now: Instant
    ) -> list[CustomerEvaluation]:
        """Evaluate customers on their ledgers as they were read, each with the requests given for them."""
        self.batches += 1
        return await self.loop_share.run_together(
            evaluate_in_steps(
                *(customer, inputs.facts[customer], of_customer, inputs.ledger_of(customer), now),
                *(inputs.complete_since, self._render),
            )
            for customer, of_customer in requests.items()
        )

    async def write(
        self,
        tx: Tx,
        inputs: EvaluationInput,
        evaluations: Sequence[CustomerEvaluation],
        now: Instant,
        mode: EvaluationMode = LIVE,
        claim: ClaimMessages | None = None,
        events: Sequence[ReceivedEvent] = (),
    ) -> list[CustomerEvaluation]:
        """Write evaluations in the caller's transaction; returns them as written: see `write_evaluations`."""

        async def reevaluate(evaluation: CustomerEvaluation, base: VersionedLedger) -> CustomerEvaluation:
            return await self.evaluate(inputs, evaluation.customer, evaluation.requests, base, now, mode)

        return await write_evaluations(
            tx, evaluations, now, inputs.complete_since, reevaluate, claim, events, self._refresh_requests
        )

    async def _refresh_requests(self, tx: Tx, evaluation: CustomerEvaluation) -> Sequence[EvaluationRequest] | None:
        """The requests with what has become of tried channels since; None where nothing has changed.

        The customer's ledger is locked, so no message of theirs is chosen, and none is refused, at the same time.
        """
        old = [each for each in evaluation.requests if each.progress is not None]
        if not old:
            return None
        new = await self.requests_of_choices(
            tx, [(each.triggered_campaigns[0], each.expected_states or NO_STATES) for each in old]
        )
        if [each.progress for each in old] == [each.progress for each in new]:
            return None
        current = dict(zip(map(id, old), new, strict=True))
        return [current.get(id(each), each) for each in evaluation.requests]

    async def write_in_rounds(
        self,
        tx: Tx,
        inputs: EvaluationInput,
        evaluations: Sequence[CustomerEvaluation],
        now: Instant,
        mode: EvaluationMode,
    ) -> list[CustomerEvaluation]:
        """Write evaluations of which several may be of one customer: in rounds in which no customer appears twice.

        All of a customer's evaluations were made on the ledger as it was locked. So each but the first is made again,
        on the ledger that the round before it has written.
        """
        rounds: list[list[CustomerEvaluation]] = []
        counts: Counter[str] = Counter()
        for evaluation in evaluations:
            index = counts[evaluation.customer]
            counts[evaluation.customer] += 1
            if index == len(rounds):
                rounds.append([])
            rounds[index].append(evaluation)
        written: list[CustomerEvaluation] = []
        for each in rounds:
            written += await self.write(tx, inputs, each, now, mode)
        return written


async def write_evaluations(
    tx: Tx,
    evaluations: Sequence[CustomerEvaluation],
    now: Instant,
    complete_since: Instant,
    reevaluate: Reevaluate,
    claim: ClaimMessages | None = None,
    events: Sequence[ReceivedEvent] = (),
    refresh: RefreshRequests | None = None,
) -> list[CustomerEvaluation]:
    """Write everything that these evaluations change: ledgers, messages, decisions and the history of contacts.

    `events`: the fresh events that were evaluated, which are stored as well.

    Returns them as they were written: a customer whose ledger has changed since it was read is evaluated again, and an
    evaluation of a waiting message that somebody else has moved meanwhile is dropped. `complete_since`: the instant
    from which on a ledger must be complete. `claim` claims messages for inline delivery. `refresh` returns the requests
    of an evaluation, under the lock, where they have changed: it is evaluated again as well.
    """
    # Claims make contacts on the ledgers and decide the states of messages, so they come before both are written.
    current = evaluations
    if not await _write_unlocked(tx, evaluations, claim):
        current = await _lock_and_reevaluate(tx, evaluations, complete_since, reevaluate, refresh)
        if claim is not None:
            await claim(current)
        await store.save_ledgers(tx, {each.customer: each.ledger for each in _with_changed_ledger(current)})
    await message_store.write_messages(tx, current, now)
    decisions = (decision for evaluation in current for decision in evaluation.decisions)
    undecided = await store.insert_decisions(tx, decisions, events)
    await message_life.keep_evaluations(tx, current, now)
    await store.insert_events(tx, undecided, now)
    await store.insert_contact_history(
        tx,
        (
            row
            for each in current
            for row in store.contact_history_rows(each.customer, each.base.ledger, each.ledger, now, list(each.claims))
        ),
    )
    return list(current)


def _request_of_choice(
    triggered: TriggeredCampaign, states: Mapping[str, str], messages: FallbackMessages
) -> EvaluationRequest:
    """The request for all waiting messages of a campaign that falls back, or did when they were planned."""
    campaign, progress = triggered.campaign, messages.progress
    again = replace(
        triggered,
        channels=messages.waiting_channels if campaign.sends_on_all_channels else campaign.channels,
        first_planned=progress.first_planned,
        progress=progress if campaign.fallback_after is not None or progress.tried else None,
    )
    return EvaluationRequest(triggered_campaigns=(again,), expected_states=states)


def _with_changed_ledger(evaluations: Sequence[CustomerEvaluation]) -> list[CustomerEvaluation]:
    return [each for each in evaluations if each.ledger is not each.base.ledger]


async def _write_unlocked(tx: Tx, evaluations: Sequence[CustomerEvaluation], claim: ClaimMessages | None) -> bool:
    """Claim messages and write ledgers on the versions that were read, without locking them first.

    Returns False, and has written nothing, where a ledger has changed since, or where the state of a waiting message
    must be compared under the lock.
    """
    if any(each.expected_states for each in evaluations):
        return False
    changed = _with_changed_ledger(evaluations)
    if not changed:  # then nothing is ready that could be claimed
        return True
    unclaimed = [(each, each.ledger) for each in changed]
    async with tx.savepoint() as take_back:
        await store.insert_empty_ledgers(tx, [each.customer for each in changed if each.base.version == 0])
        if claim is not None:
            await claim(changed)
        written = {each.customer: VersionedLedger(each.base.version, each.ledger) for each in changed}
        if await store.save_unlocked_ledgers(tx, written):
            return True
        await take_back()
    for each, ledger in unclaimed:
        each.ledger, each.claims = ledger, {}
    return False


async def _lock_and_reevaluate(
    tx: Tx,
    evaluations: Sequence[CustomerEvaluation],
    complete_since: Instant,
    reevaluate: Reevaluate,
    refresh: RefreshRequests | None,
) -> list[CustomerEvaluation]:
    # A refusal of a fresh event changes no ledger and needs no lock. A waiting message always does: its state is
    # checked under the lock.
    to_lock = [evaluation for evaluation in evaluations if evaluation.writes_ledger]
    if not to_lock:
        return list(evaluations)
    new_customers = [evaluation.customer for evaluation in to_lock if evaluation.base.version == 0]
    versions = await store.lock_ledgers(tx, [evaluation.customer for evaluation in to_lock], new_customers)
    outdated = [
        each.customer for each in to_lock if versions.get(each.customer, each.base.version) != each.base.version
    ]
    gone = {each.customer for each in to_lock if each.customer not in versions}  # erased since they were read
    reloaded = await store.load_ledgers(tx, outdated, complete_since)
    changed_messages = await _changed_messages(tx, to_lock)
    result: list[CustomerEvaluation] = []
    dropped: list[str] = []
    for evaluation in evaluations:
        # A refusal leaves the ledger's version alone, so the version cannot tell that somebody else has evaluated
        # the same waiting message: its state must be the one that was read (Rank/no-state-check in docs/protocols).
        if evaluation.customer in gone or not changed_messages.isdisjoint(evaluation.expected_states):
            dropped.append(evaluation.customer)
            continue
        base = reloaded.get(evaluation.customer)
        requests = await refresh(tx, evaluation) if refresh is not None and evaluation.expected_states else None
        if requests is not None:
            evaluation.requests, base = requests, base or evaluation.base
        result.append(evaluation if base is None else await reevaluate(evaluation, base))
    # A row that was made to be locked: its customer may have been erased since, and the row would name them.
    await store.delete_unused_ledgers(tx, dropped)
    return result


async def _changed_messages(tx: Tx, evaluations: Sequence[CustomerEvaluation]) -> set[str]:
    expected = {message: state for evaluation in evaluations for message, state in evaluation.expected_states.items()}
    states = await message_store.load_message_states(tx, list(expected))
    return {message for message, state in expected.items() if states.get(message) != state}
