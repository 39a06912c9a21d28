"""Gathers what is recorded of handovers: versions, decisions, contacts, and the facts as they were."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from schemas.documents import DocumentError
from schemas.event import BadEvent, data_of, decode_structured
from schemas.facts import HoldFact, Preference, Suppressions
from schemas.recorded import Recorded, RecordedHold
from schemas.times import DAY, MINUTE, SECOND, Instant
from services.condition import ConditionSyntaxError
from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log
from services.orchestrator.decisions import store
from services.orchestrator.explain import as_of
from services.orchestrator.insight.audit import store as audit_store
from services.orchestrator.insight.audit.invariants import Evidence
from services.orchestrator.insight.audit.ledger_check import at_mark
from services.orchestrator.insight.audit.store import Handover
from services.orchestrator.insight.audit.versions import Versions
from services.orchestrator.insight.history_reader import HistoryReader, RecordedFacts
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.horizon import look_back_span
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.recorded_facts import reindex_address_entries

AROUND = 10 * SECOND
"""Facts recorded this near to a mark may have been read by the gate or not: clocks differ, commits take time."""
LONGEST = 2 * MINUTE
"""No gate looks later than so long after the mark."""
AHEAD = 31 * DAY
"""A contact that another tool reports may have been recorded so long before its instant."""


class Gathering:
    """Gathers the evidence of a page of handovers."""

    def __init__(self, database: Database, recorder: HistoryReader) -> None:
        self._database = database
        self._recorder = recorder
        self._versions = Versions()

    async def of(self, handovers: Sequence[Handover]) -> list[Evidence]:
        """The evidence of each; a handover about which too little is kept is left out. Raises Transient."""
        if not handovers:
            return []
        customers = sorted({each.customer for each in handovers})
        first, last = min(each.marked_at for each in handovers), max(_until(each) for each in handovers)
        recorded = await self._recorder.read_between(customers, first - AROUND, last)
        async with self._database.read() as tx:
            await self._versions.refresh(tx)
            return await self._evidence(tx, handovers, customers, recorded)

    async def _evidence(
        self, tx: Tx, handovers: Sequence[Handover], customers: list[str], recorded: RecordedFacts
    ) -> list[Evidence]:
        messages = [each.message_id for each in handovers]
        explained = await audit_store.explained(tx, customers, messages)
        accepted = await audit_store.first_accepted(tx, customers, messages)
        keys = [(each.customer, each.event_source, each.event_id) for each in handovers]
        events = await store.load_events(tx, keys)
        versions = {
            each: await self._in_force(tx, each, events.get(key)) for each, key in zip(handovers, keys, strict=True)
        }
        policies = [policy for each in versions.values() for policy in each[0]]
        histories = await audit_store.contacts(tx, customers, _since(handovers, policies))
        known = {each.customer: each for each in recorded.customers}
        found: list[Evidence] = []
        for each in handovers:
            ledger = at_mark(histories[each.customer], each.message_id, each.marked_at)
            found.append(
                Evidence(
                    each,
                    each.message_id in explained,
                    await self._versions.approved(tx, each.campaign, each.version),
                    each.outcome == "accepted" and each.marked_at != accepted.get(each.message_id, each.marked_at),
                    ledger or _without_mark(histories[each.customer], each),
                    _holds(recorded.holds, each),
                    *versions[each],
                    _states(known[each.customer], each),
                )
            )
        return found

    async def _in_force(
        self, tx: Tx, handover: Handover, event: bytes | None
    ) -> tuple[list[CompiledPolicy], list[TriggeredCampaign]]:
        """The policies and touches that may have been in force; none where they cannot be told any more."""
        try:
            touches = await self._touches(tx, handover, event)
            return await self._versions.policies(tx, handover.marked_at, AROUND), touches
        except (LookupError, DocumentError, ConditionSyntaxError, BadEvent) as error:
            log("audit_skipped", level="warning", message_id=handover.message_id, error_class=type(error).__name__)
            return [], []

    async def _touches(self, tx: Tx, handover: Handover, event: bytes | None) -> list[TriggeredCampaign]:
        """One for each version of the campaign that may have been in force. Raises LookupError, DocumentError."""
        if event is None:
            raise LookupError(handover.message_id)
        campaigns = await self._versions.campaigns(tx, handover.campaign, handover.version, handover.marked_at, AROUND)
        decoded = decode_structured(event)
        data, since, channels = data_of(decoded), handover.since, (handover.channel,)
        planned = {} if since is None else {handover.channel: since}
        return [
            TriggeredCampaign(decoded, data, campaign, first_planned_by_channel=planned, channels=channels)
            if campaign.sends_on_all_channels
            else TriggeredCampaign(decoded, data, campaign, first_planned=since, channels=channels)
            for campaign in campaigns
        ]


def _until(handover: Handover) -> Instant:
    """The last instant whose facts its gate may have read."""
    return min(handover.closed_at, handover.marked_at + LONGEST) + AROUND


def _since(handovers: Sequence[Handover], policies: Sequence[CompiledPolicy]) -> Instant:
    """From when on contacts matter to any of them."""
    spans = [look_back_span(policy, ()) for policy in {policy.version: policy for policy in policies}.values()]
    longest = max((span for span in spans if span is not None), default=0)
    return max(BEGINNING_OF_TIME, min(each.marked_at for each in handovers) - longest - AHEAD)


def _without_mark(history: Sequence[Row[Any]], handover: Handover) -> Ledger:
    """The contacts that were surely there before a handover whose mark is not recorded."""
    before = [row for row in history if row.recorded < handover.marked_at - AROUND]
    ledger = as_of.build_ledger(before)
    for contact in list(ledger):
        if contact.state == "planned" or contact.message_id == handover.message_id:
            ledger = ledger.release(contact.message_id)
    return ledger


def _holds(holds: Sequence[RecordedHold], handover: Handover) -> tuple[HoldFact, ...]:
    """Those that were known long before the mark, and not lifted before the end."""
    return tuple(
        each.hold
        for each in holds
        if each.placed <= handover.marked_at - AROUND and (each.ended is None or each.ended > _until(handover))
    )


def _states(recorded: Recorded, handover: Handover) -> list[tuple[Preference, Suppressions]]:
    """All that may have been known: as of a moment before the mark, and after each change until the end."""
    since, until = handover.marked_at - AROUND, _until(handover)
    return [
        (chosen, reindex_address_entries(against, recorded.asked, chosen))
        for chosen in _between(recorded.preferences, since, until)
        for against in _between(recorded.suppressions, since, until)
    ]


def _between(states: Sequence[Any], since: Instant, until: Instant) -> list[Any]:
    first = max(place for place, state in enumerate(states) if place == 0 or state.at <= since)
    return [state.facts for state in states[first:] if state.at <= until or state is states[first]]
