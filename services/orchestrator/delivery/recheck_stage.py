"""The gate: after the mark, fresh facts and the same rules once more; who is refused is judged again in full.

A refusal is written under the lock of the customer's ledger: the attempt is closed, the contact goes back, and all
channels of that event and campaign are judged with the facts at hand, a line for each.
"""

from collections.abc import Mapping, Sequence

import msgspec

from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.bus.fence import read_applied_offsets
from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import commit, store
from services.orchestrator.decisions.evaluation import CustomerEvaluation, EvaluationRequest, evaluate_customer
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.decisions.stored_trigger import build_triggered, decode_triggered
from services.orchestrator.delivery import attempts
from services.orchestrator.delivery.attempts import ClosedAttempt
from services.orchestrator.delivery.claim import ClaimedMessage
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.policy.candidate import CLOCK_TOLERANCE
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.horizon import look_back_start
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign
from services.orchestrator.policy.recheck import is_still_allowed, recheck_message


class RecheckResult(msgspec.Struct, frozen=True):
    """What the gate saw: facts read after the mark, and the events behind the messages."""

    catalogue: Catalogue
    facts: Mapping[str, Facts]
    triggered_campaigns: Mapping[str, TriggeredCampaign]
    """Of those that had to be judged."""
    refused: frozenset[str]
    complete_since: Instant
    """No rule looks back further."""


class Recheck:
    """Looks at marked messages once more, and takes back those that may not go."""

    def __init__(
        self,
        database: Database,
        snapshot: CatalogueSnapshot,
        facts_reader: FactsReader,
        renderer: Renderer,
        clock: Clock,
        topics: Sequence[str],
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._facts_reader = facts_reader
        self._renderer = renderer
        self._clock = clock
        self._topics = frozenset(topics)

    async def recheck_messages(self, claimed_messages: Sequence[ClaimedMessage]) -> RecheckResult:
        """Judge the messages on facts that are fresher than their marks. Raises Transient when there are none."""
        async with self._database.read() as tx:
            catalogue = await self._snapshot.get_catalogue(tx)
            positions = {
                partition: offset
                for partition, offset in (await read_applied_offsets(tx)).items()
                if partition[0] in self._topics
            }
            keys = [
                (item.customer, item.event_source, item.event_id) for item in claimed_messages if item.triggered is None
            ]
            events = await store.load_events(tx, keys)
            now = self._clock.now()
            complete_since = look_back_start(catalogue.policy, catalogue.campaigns.values(), now)
            ledgers = await _complete_ledgers(tx, claimed_messages, complete_since)
        known = {item.customer: item.facts for item in claimed_messages if item.facts is not None}
        facts = await self._facts_reader.read_facts(
            sorted({item.customer for item in claimed_messages}), catalogue, positions, known
        )
        now = self._clock.now()
        triggered_campaigns: dict[str, TriggeredCampaign] = {}
        refused: set[str] = set()
        for item, ledger in zip(claimed_messages, ledgers, strict=True):
            fresh = facts[item.customer]
            if self._is_unchanged(item, fresh, catalogue, now):
                continue
            triggered = triggered_campaigns[item.message_id] = self._build_triggered(item, catalogue, events)
            if recheck_message(triggered, item.channel, fresh, ledger, item.claimed_at, now):
                refused.add(item.message_id)
        return RecheckResult(catalogue, facts, triggered_campaigns, frozenset(refused), complete_since)

    def _is_unchanged(self, item: ClaimedMessage, facts: Facts, catalogue: Catalogue, now: Instant) -> bool:
        """Whether judging again would find what was found when it was decided: see deciding/gate.py."""
        triggered = item.triggered
        if triggered is None or not item.sole_decision or facts is not item.facts:
            return False
        return catalogue.campaigns.get(item.campaign) is triggered.campaign and is_still_allowed(
            triggered, facts, item.claimed_at, now
        )

    def _build_triggered(
        self, item: ClaimedMessage, catalogue: Catalogue, events: Mapping[store.EventKey, bytes]
    ) -> TriggeredCampaign:
        at = (item.campaign, item.channel, item.first_planned, catalogue, self._snapshot)
        if item.triggered is not None:
            return build_triggered(item.triggered.event, item.triggered.data, *at)
        return decode_triggered(events[item.customer, item.event_source, item.event_id], *at)

    async def take_back(
        self, claimed_messages: Sequence[ClaimedMessage], recheck_result: RecheckResult
    ) -> list[CustomerEvaluation]:
        """Take these back: close their attempts and judge them again, in one transaction."""
        if not claimed_messages:
            return []
        now = self._clock.now()
        async with self._database.write() as tx:
            base = await store.lock_and_load_ledgers(
                tx, [item.customer for item in claimed_messages], recheck_result.complete_since
            )
            closed_here = await self._close_attempts(tx, claimed_messages, now)
            evaluations = [
                self._reevaluate_message(item, base[item.customer], recheck_result, now) for item in closed_here
            ]
            return await self._write_in_batches(tx, evaluations, recheck_result, now)

    async def _close_attempts(
        self, tx: Tx, claimed_messages: Sequence[ClaimedMessage], now: Instant
    ) -> list[ClaimedMessage]:
        closings = [ClosedAttempt(item.message_id, item.number, "cancelled", None) for item in claimed_messages]
        closed = await attempts.close_attempts(tx, closings, now)
        return [item for item in claimed_messages if (item.message_id, item.number) in closed]

    def _reevaluate_message(
        self, item: ClaimedMessage, base: VersionedLedger, recheck_result: RecheckResult, now: Instant
    ) -> CustomerEvaluation:
        request = EvaluationRequest(
            triggered_campaigns=(recheck_result.triggered_campaigns[item.message_id],),
            expected_states={item.message_id: MessageState.HANDING_OVER.value},
        )
        return self._reevaluate(
            item.customer, recheck_result.facts[item.customer], [request], base, recheck_result, now
        )

    def _reevaluate(
        self,
        customer: str,
        facts: Facts,
        requests: Sequence[EvaluationRequest],
        base: VersionedLedger,
        recheck_result: RecheckResult,
        now: Instant,
    ) -> CustomerEvaluation:
        """Judge with the messages' contacts planned once more, for a ledger on which they are made."""
        ledger = base.ledger
        for request in requests:
            for message in request.expected_states or ():
                ledger = ledger.set_contact_state(message, "planned")
        replanned = VersionedLedger(base.version, ledger)
        evaluation = evaluate_customer(
            customer,
            facts,
            requests,
            replanned,
            now,
            recheck_result.complete_since,
            self._renderer.render_message,
            clock_tolerance=CLOCK_TOLERANCE,
        )
        evaluation.base = base
        return evaluation

    async def _write_in_batches(
        self, tx: Tx, evaluations: Sequence[CustomerEvaluation], recheck_result: RecheckResult, now: Instant
    ) -> list[CustomerEvaluation]:
        """Several messages of one customer are judged one after the other, each on the ledger that the last left."""

        def reevaluate(evaluation: CustomerEvaluation, base: VersionedLedger) -> CustomerEvaluation:
            return self._reevaluate(
                evaluation.customer, evaluation.facts, evaluation.requests, base, recheck_result, now
            )

        written: list[CustomerEvaluation] = []
        for batch in _one_per_customer(evaluations):
            written += await commit.write_evaluations(tx, batch, now, recheck_result.complete_since, reevaluate)
        return written


async def _complete_ledgers(
    tx: Tx, claimed_messages: Sequence[ClaimedMessage], complete_since: Instant
) -> list[Ledger]:
    """The ledgers as they were at the marks, or, where those look back too little, as the history has them now."""
    return [
        item.ledger
        if item.ledger.complete_from <= complete_since
        else await store.rebuild_ledger(tx, item.customer, complete_since)
        for item in claimed_messages
    ]


def _one_per_customer(evaluations: Sequence[CustomerEvaluation]) -> list[list[CustomerEvaluation]]:
    """The works in rounds in which no customer appears twice."""
    batches: list[list[CustomerEvaluation]] = []
    count: dict[str, int] = {}
    for evaluation in evaluations:
        batch = count[evaluation.customer] = count.get(evaluation.customer, -1) + 1
        if batch == len(batches):
            batches.append([])
        batches[batch].append(evaluation)
    return batches
