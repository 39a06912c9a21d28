"""HTTP client of the suppression service, for the orchestrator."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from schemas.addresses import address_key_fingerprint
from schemas.agent_api import (
    CHANGE_SITUATION_PATH,
    READ_SITUATIONS_PATH,
    ChangeAnswer,
    ChangeSituationRequest,
    ListedSituations,
    SituationsQuestion,
)
from schemas.erasures import ErasureProgress
from schemas.facts import HoldFact, Suppressions
from schemas.service_api import (
    ADD_ENTRIES_PATH,
    BLOCK_ADDRESSES_PATH,
    HOLD_ENDS_PATH,
    HOLD_RECORDS_PATH,
    HOLDS_PATH,
    LIFT_ENTRIES_PATH,
    LIFT_HOLD_PATH,
    SITUATIONS_PATH,
    SUPPRESSION_CHANGES_PATH,
    SUPPRESSION_ERASURES_PATH,
    SUPPRESSION_EXPORT_PATH,
    SUPPRESSION_FACTS_AT_PATH,
    SUPPRESSION_FACTS_PATH,
    SUPPRESSION_RECORDED_PATH,
    Acknowledgement,
    AddEntriesRequest,
    AddressLift,
    BlockAddressesRequest,
    CustomerAddressHashes,
    ErasuresRequest,
    HoldEnd,
    HoldEndsRequest,
    HoldRecord,
    HoldRecordsRequest,
    LiftedHold,
    LiftEntriesRequest,
    LiftHoldRequest,
    LogPositions,
    PastSuppressions,
    PastSuppressionsRequest,
    PolicySituations,
    ProviderEntry,
    SuppressionHistory,
    SuppressionHistoryRequest,
    SuppressionRequest,
    SuppressionResponse,
)
from schemas.subject_export import ExportPage, ExportRequest
from schemas.suppression_list_api import (
    ASK_REMOVAL_PATH,
    DECIDE_REMOVAL_PATH,
    FIND_ENTRIES_PATH,
    IMPORTS_PATH,
    REMOVALS_PATH,
    AskRemovalRequest,
    DecideRemovalRequest,
    EntryQuestion,
    ListedEntry,
    ListedImport,
    ListedRemoval,
    RemovalAnswer,
)
from schemas.times import Instant
from services.clients.changes import ChangedKeys, ask_for_changes
from services.clients.dead_letters import DeadLetterClient
from services.clients.facts_endpoints import FactsApi, FactsInProcess, FactsOverHttp
from services.kit.db.recent_changes import ChangePosition
from services.kit.http import internal_api

NO_SUPPRESSIONS: Mapping[str, Suppressions] = MappingProxyType({})
CHANGE_TIMEOUT = 15.0
"""Seconds for a change of a situation: its answer waits until it is applied."""
HISTORY_TIMEOUT = 30.0
"""Seconds for histories of many customers, which audits and simulations ask for in the background."""


SuppressionFactsApi = FactsApi[SuppressionRequest, SuppressionResponse]


class SuppressionClient:
    """Calls over HTTP, or in process through an ASGI transport.

    Every method raises Transient when the service cannot answer now, Permanent when it refuses: see
    services/kit/http/internal_api.py. Among the refusals: addresses hashed with another key than the service's.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        service_key: str,
        address_key: bytes,
        in_process: SuppressionFactsApi | None = None,
    ) -> None:
        """`http` has the base URL; `address_key` is the key with which the caller hashes addresses.

        `in_process`: the service itself, where it is in this process.
        """
        self._http = http
        self._facts: SuppressionFactsApi = (
            FactsOverHttp(http, service_key, SUPPRESSION_FACTS_PATH, SUPPRESSION_CHANGES_PATH, SuppressionResponse)
            if in_process is None
            else FactsInProcess(in_process)
        )
        self._service_key = service_key
        self.dead_letters = DeadLetterClient(http, service_key, "suppression")
        self._fingerprint = address_key_fingerprint(address_key)

    async def get_facts(
        self,
        queries: Sequence[CustomerAddressHashes],
        positions: LogPositions,
        known: Mapping[str, Suppressions] = NO_SUPPRESSIONS,
    ) -> SuppressionResponse:
        """Facts of the customers in the order asked, and all holds, once the log is applied up to `positions`.

        `known` holds earlier answers about the same addresses: those that are still current are not sent again.
        """
        versions = tuple(_known_version(known.get(query.customer)) for query in queries) if known else ()
        request = SuppressionRequest(tuple(queries), positions, self._fingerprint, versions)
        answer = await self._facts.answer_facts(request)
        if not known:
            return answer
        updated = {suppressions.customer: suppressions for suppressions in answer.customers}
        customers = tuple(updated.get(query.customer) or known[query.customer] for query in queries)
        return msgspec.structs.replace(answer, customers=customers)

    async def find_changed_keys(self, positions: LogPositions, since: ChangePosition) -> ChangedKeys:
        """Whose facts, and facts about which hashes of addresses, have changed since then: see `ask_for_changes`."""
        return await ask_for_changes(self._facts, positions, since)

    async def get_facts_at(self, query: CustomerAddressHashes, since: Instant, until: Instant) -> PastSuppressions:
        """What was known of the customer as of `since`, and after each change until `until`."""
        request = PastSuppressionsRequest(query, since, until, self._fingerprint)
        return await internal_api.call(
            self._http, SUPPRESSION_FACTS_AT_PATH, request, PastSuppressions, key=self._service_key
        )

    async def read_recorded(
        self, queries: Sequence[CustomerAddressHashes], since: Instant, until: Instant
    ) -> SuppressionHistory:
        """What was known of these customers as of `since`, and after each change until `until`."""
        request = SuppressionHistoryRequest(tuple(queries), since, until, self._fingerprint)
        return await internal_api.call(
            self._http,
            SUPPRESSION_RECORDED_PATH,
            request,
            SuppressionHistory,
            key=self._service_key,
            timeout=HISTORY_TIMEOUT,
        )

    async def read_export(self, request: ExportRequest) -> ExportPage:
        """A page of what this service knows of a customer."""
        return await internal_api.call(
            self._http, SUPPRESSION_EXPORT_PATH, request, ExportPage, key=self._service_key, timeout=HISTORY_TIMEOUT
        )

    async def get_erasures(self, pseudonyms: Sequence[str], positions: LogPositions) -> tuple[ErasureProgress, ...]:
        """How far the erasures of these customers are, once the log has been applied up to `positions`."""
        request = ErasuresRequest(tuple(pseudonyms), positions)
        return await internal_api.call(
            self._http, SUPPRESSION_ERASURES_PATH, request, tuple[ErasureProgress, ...], key=self._service_key
        )

    async def block_addresses(self, pseudonym: str, hashes: Sequence[str], positions: LogPositions) -> None:
        """Let the `erased` entry of a customer cover addresses, given by their keyed hashes. Idempotent."""
        request = BlockAddressesRequest(pseudonym, tuple(hashes), positions)
        await internal_api.call(self._http, BLOCK_ADDRESSES_PATH, request, Acknowledgement, key=self._service_key)

    async def add_entries(self, entries: Sequence[ProviderEntry], added_by: str) -> None:
        """Add do-not-contact entries. Idempotent; an erased customer needs none."""
        request = AddEntriesRequest(tuple(entries), added_by)
        await internal_api.call(self._http, ADD_ENTRIES_PATH, request, Acknowledgement, key=self._service_key)

    async def lift_entries(
        self, lifts: Sequence[AddressLift], reason: str, added_by: str, only_then: bool = False
    ) -> None:
        """Remove the entries of addresses that `added_by` has made for this reason. Idempotent."""
        request = LiftEntriesRequest(tuple(lifts), reason, added_by, only_then)
        await internal_api.call(self._http, LIFT_ENTRIES_PATH, request, Acknowledgement, key=self._service_key)

    async def get_holds(self) -> tuple[HoldFact, ...]:
        """All holds that concern everybody, in force or to come."""
        return await internal_api.call(self._http, HOLDS_PATH, {}, tuple[HoldFact, ...], key=self._service_key)

    async def get_hold_ends(self, keys: Sequence[str], at: Instant) -> tuple[HoldEnd, ...]:
        """How the latest hold with each of these keys ended, as of `at`; one that has not ended is absent."""
        return await internal_api.call(
            self._http, HOLD_ENDS_PATH, HoldEndsRequest(tuple(keys), at), tuple[HoldEnd, ...], key=self._service_key
        )

    async def get_hold_records(self, key: str | None = None, limit: int = 50) -> tuple[HoldRecord, ...]:
        """The holds that were placed last, newest first; with a key, only those under it."""
        request = HoldRecordsRequest(key, limit)
        return await internal_api.call(
            self._http, HOLD_RECORDS_PATH, request, tuple[HoldRecord, ...], key=self._service_key
        )

    async def lift_hold(self, key: str, lifted_by: str, reason: str | None, rate: int) -> HoldRecord | None:
        """End the hold that stands under this key; the hold as it is then, or None if there never was one."""
        request = LiftHoldRequest(key, lifted_by, reason, rate)
        return (await internal_api.call(self._http, LIFT_HOLD_PATH, request, LiftedHold, key=self._service_key)).hold

    async def find_entries(self, question: EntryQuestion) -> tuple[ListedEntry, ...]:
        """The live entries of an address, in any spelling."""
        return await internal_api.call(
            self._http, FIND_ENTRIES_PATH, question, tuple[ListedEntry, ...], key=self._service_key
        )

    async def list_imports(self) -> tuple[ListedImport, ...]:
        """The newest imports, newest first."""
        return await internal_api.call(self._http, IMPORTS_PATH, {}, tuple[ListedImport, ...], key=self._service_key)

    async def list_removals(self) -> tuple[ListedRemoval, ...]:
        """The newest removal requests that nobody has decided, newest first."""
        return await internal_api.call(self._http, REMOVALS_PATH, {}, tuple[ListedRemoval, ...], key=self._service_key)

    async def ask_removal(self, request: AskRemovalRequest) -> RemovalAnswer:
        """Ask for the removal of an entry."""
        return await internal_api.call(self._http, ASK_REMOVAL_PATH, request, RemovalAnswer, key=self._service_key)

    async def decide_removal(self, request: DecideRemovalRequest) -> RemovalAnswer:
        """Approve or decline a removal request."""
        return await internal_api.call(self._http, DECIDE_REMOVAL_PATH, request, RemovalAnswer, key=self._service_key)

    async def read_situations(self, customer: str) -> ListedSituations:
        """The situations of a customer, with their history."""
        question = SituationsQuestion(customer)
        return await internal_api.call(
            self._http, READ_SITUATIONS_PATH, question, ListedSituations, key=self._service_key
        )

    async def change_situation(self, request: ChangeSituationRequest) -> ChangeAnswer:
        """Open, close or correct a situation, by the hand of a person."""
        return await internal_api.call(
            self._http, CHANGE_SITUATION_PATH, request, ChangeAnswer, key=self._service_key, timeout=CHANGE_TIMEOUT
        )

    async def set_situations(self, policy_version: int, situations: Sequence[dict[str, Any]]) -> None:
        """Put the situations of a policy in force, before that policy becomes active."""
        request = PolicySituations(policy_version, list(situations))
        await internal_api.call(self._http, SITUATIONS_PATH, request, Acknowledgement, key=self._service_key)


def _known_version(known: Suppressions | None) -> int:
    """The version to send: -1 when an entry of an address is among the facts, because such entries have no version."""
    if known is None or any(entry.address is not None for entry in known.entries):
        return -1
    return known.version
