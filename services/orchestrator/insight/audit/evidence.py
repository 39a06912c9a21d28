"""Reads the recorded evidence about handovers: versions, decisions, contacts, and the facts of that time."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from schemas.documents import DocumentError
from schemas.event import InvalidEvent, decode_event
from schemas.facts import HoldFact, Preference, Suppressions
from schemas.own_events import read_stored_data
from schemas.recorded import CustomerHistory, HoldPeriod
from schemas.times import DAY, MINUTE, SECOND, Instant
from services.condition import ConditionSyntaxError
from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log
from services.orchestrator.decisions import store
from services.orchestrator.decisions.stored_trigger import rebuild_triggered
from services.orchestrator.explain import as_of
from services.orchestrator.insight.audit import store as audit_store
from services.orchestrator.insight.audit.invariants import Evidence
from services.orchestrator.insight.audit.ledger_check import ledger_at_claim
from services.orchestrator.insight.audit.store import AuditedHandover
from services.orchestrator.insight.audit.versions import VersionHistory
from services.orchestrator.insight.history_reader import HistoryReader, RecordedFacts
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.horizon import look_back_span
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.recorded_facts import reindex_address_entries

TIMING_TOLERANCE = 10 * SECOND
"""Facts recorded this close to a claim may or may not have been read by the recheck: clocks differ, commits
take time.
"""
MAX_RECHECK_DELAY = 2 * MINUTE
"""The longest time (microseconds) after a claim at which its recheck may have read facts."""
MAX_REPORT_LEAD = 31 * DAY
"""How long (microseconds) before its own instant a contact reported by another tool may have been recorded."""


class EvidenceReader:
    """Reads the evidence for a page of handovers."""

    def __init__(self, database: Database, recorder: HistoryReader) -> None:
        self._database = database
        self._recorder = recorder
        self._version_history = VersionHistory()

    async def read_evidence(self, handovers: Sequence[AuditedHandover]) -> list[Evidence]:
        """Returns the evidence of each handover, leaving out those of which too little is kept. Raises Transient."""
        if not handovers:
            return []
        customers = sorted({each.customer for each in handovers})
        first, last = min(each.claimed_at for each in handovers), max(_last_possible_read(each) for each in handovers)
        recorded = await self._recorder.read_between(customers, first - TIMING_TOLERANCE, last)
        async with self._database.read() as tx:
            await self._version_history.refresh(tx)
            return await self._build_evidence(tx, handovers, customers, recorded)

    async def _build_evidence(
        self, tx: Tx, handovers: Sequence[AuditedHandover], customers: list[str], recorded: RecordedFacts
    ) -> list[Evidence]:
        messages = [each.message_id for each in handovers]
        explained = await audit_store.find_explained(tx, customers, messages)
        accepted = await audit_store.load_accepted_claim_times(tx, customers, messages)
        keys = [(each.customer, each.event_source, each.event_id) for each in handovers]
        events = await store.load_events(tx, keys)
        versions = {
            each: await self._versions_in_force(tx, each, events.get(key))
            for each, key in zip(handovers, keys, strict=True)
        }
        policies = [policy for each in versions.values() for policy in each[0]]
        histories = await audit_store.load_contact_rows(tx, customers, _earliest_relevant_contact(handovers, policies))
        recorded_by_customer = {each.customer: each for each in recorded.customers}
        evidence: list[Evidence] = []
        for each in handovers:
            # In a thread: the history of a customer with thousands of contacts takes a second.
            ledger = await asyncio.to_thread(
                ledger_at_claim, histories[each.customer], each.message_id, each.claimed_at
            )
            evidence.append(
                Evidence(
                    each,
                    each.message_id in explained,
                    await self._version_history.is_approved(tx, each.campaign, each.version),
                    each.outcome == "accepted" and each.claimed_at != accepted.get(each.message_id, each.claimed_at),
                    ledger or _ledger_without_claim(histories[each.customer], each),
                    _certain_holds(recorded.holds, each),
                    *versions[each],
                    _possible_facts(recorded_by_customer[each.customer], each),
                )
            )
        return evidence

    async def _versions_in_force(
        self, tx: Tx, handover: AuditedHandover, event: bytes | None
    ) -> tuple[list[CompiledPolicy], list[TriggeredCampaign]]:
        """Returns the policies and triggered campaigns that may have been in force; empty if that is no longer
        known.
        """
        try:
            triggered = await self._rebuild_triggered(tx, handover, event)
            return await self._version_history.policies_around(tx, handover.claimed_at, TIMING_TOLERANCE), triggered
        except (LookupError, DocumentError, ConditionSyntaxError, InvalidEvent) as error:
            log("audit_skipped", level="warning", message_id=handover.message_id, error_class=type(error).__name__)
            return [], []

    async def _rebuild_triggered(
        self, tx: Tx, handover: AuditedHandover, event: bytes | None
    ) -> list[TriggeredCampaign]:
        """Rebuilds one triggered campaign per version that may have been in force. Raises LookupError,
        DocumentError.
        """
        if event is None:
            raise LookupError(handover.message_id)
        campaigns = await self._version_history.campaigns_around(
            tx, handover.campaign, handover.version, handover.claimed_at, TIMING_TOLERANCE
        )
        decoded = decode_event(event)
        data, channels = read_stored_data(decoded), (handover.channel,)
        return [rebuild_triggered(decoded, data, campaign, channels, handover.first_planned) for campaign in campaigns]


def _last_possible_read(handover: AuditedHandover) -> Instant:
    """Returns the last instant whose facts the recheck may have read."""
    return min(handover.closed_at, handover.claimed_at + MAX_RECHECK_DELAY) + TIMING_TOLERANCE


def _earliest_relevant_contact(handovers: Sequence[AuditedHandover], policies: Sequence[CompiledPolicy]) -> Instant:
    """Returns the earliest instant from which contacts matter to any of the versions."""
    spans = [look_back_span(policy, ()) for policy in {policy.version: policy for policy in policies}.values()]
    longest_span = max((span for span in spans if span is not None), default=0)
    return max(BEGINNING_OF_TIME, min(each.claimed_at for each in handovers) - longest_span - MAX_REPORT_LEAD)


def _ledger_without_claim(history: Sequence[Row[Any]], handover: AuditedHandover) -> Ledger:
    """Returns the contacts that certainly existed before a handover whose claim is not recorded."""
    before = [row for row in history if row.recorded < handover.claimed_at - TIMING_TOLERANCE]
    ledger = as_of.build_ledger(before)
    for contact in list(ledger):
        if contact.state == "planned" or contact.message_id == handover.message_id:
            ledger = ledger.release(contact.message_id)
    return ledger


def _certain_holds(holds: Sequence[HoldPeriod], handover: AuditedHandover) -> tuple[HoldFact, ...]:
    """Returns the holds known well before the claim and not lifted before the end."""
    return tuple(
        each.hold
        for each in holds
        if each.placed <= handover.claimed_at - TIMING_TOLERANCE
        and (each.ended is None or each.ended > _last_possible_read(handover))
    )


def _possible_facts(recorded: CustomerHistory, handover: AuditedHandover) -> list[tuple[Preference, Suppressions]]:
    """Returns all facts that may have been read: those just before the claim, and those after each change until the
    end.
    """
    since, until = handover.claimed_at - TIMING_TOLERANCE, _last_possible_read(handover)
    return [
        (preference, reindex_address_entries(suppressions, recorded.asked, preference))
        for preference in _states_between(recorded.preferences, since, until)
        for suppressions in _states_between(recorded.suppressions, since, until)
    ]


def _states_between(states: Sequence[Any], since: Instant, until: Instant) -> list[Any]:
    first = max(index for index, state in enumerate(states) if index == 0 or state.at <= since)
    return [state.facts for state in states[first:] if state.at <= until or state is states[first]]
