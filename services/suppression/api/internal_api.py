"""Internal HTTP API for the orchestrator: facts behind the fence, holds, and the situations of the policy."""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import NamedTuple, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.documents import DocumentError, validate_document
from schemas.facts import HoldFact, SuppressionEntry, Suppressions
from schemas.policy import SituationKind
from schemas.service_api import (
    BLOCK_ADDRESSES_PATH,
    HOLD_ENDS_PATH,
    HOLD_RECORDS_PATH,
    HOLDS_PATH,
    LIFT_HOLD_PATH,
    SITUATIONS_PATH,
    SUPPRESSION_CHANGES_PATH,
    SUPPRESSION_ERASURES_PATH,
    SUPPRESSION_EXPORT_PATH,
    SUPPRESSION_FACTS_AT_PATH,
    SUPPRESSION_FACTS_PATH,
    SUPPRESSION_RECORDED_PATH,
    Acknowledgement,
    BlockAddressesRequest,
    ChangesRequest,
    ChangesResponse,
    CustomerAddressHashes,
    ErasuresRequest,
    HoldEndsRequest,
    HoldRecordsRequest,
    LiftedHold,
    LiftHoldRequest,
    LogPositions,
    PastSuppressions,
    PastSuppressionsRequest,
    PolicySituations,
    SuppressionHistory,
    SuppressionHistoryRequest,
    SuppressionRequest,
    SuppressionResponse,
)
from schemas.subject_export import ExportRequest
from services.erasure.progress import read_progress
from services.erasure.pseudonyms import Pseudonyms
from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.bus.fenced_read import read_once_applied
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database, Tx
from services.kit.db.recent_changes import ChangePosition, RecentChanges
from services.kit.errors import Invalid, Problem
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.subject_export.sections import SectionReader
from services.suppression import suppression_state
from services.suppression.as_of import rebuild_facts
from services.suppression.as_of import rebuild_known_suppressions as states_between
from services.suppression.entry_registration import new_entry_id
from services.suppression.erased_stores import ERASED_STORES
from services.suppression.erasure_steps import block_addresses
from services.suppression.export_sections import SECTIONS
from services.suppression.situation_intervals import CompileCondition, compile_kinds
from services.suppression.store import entry_store, history_store, hold_store, situation_store, state_store
from services.suppression.suppression_errors import AddressKeyMismatch
from services.suppression.suppression_state import SuppressionState

T = TypeVar("T")
FENCE_WAIT = 2.0
"""Seconds that a request waits until our database has applied the log up to the caller's positions."""


class _FactRows(NamedTuple):
    """What one snapshot says of the customers of a question."""

    states: Mapping[str, SuppressionState]
    address_entries: Mapping[str, tuple[SuppressionEntry, ...]]
    holds: tuple[HoldFact, ...]
    has_spellings: bool
    position: ChangePosition | None


class FactsEndpoint:
    """Answers requests for facts, present and past."""

    def __init__(
        self,
        database: Database,
        changes: RecentChanges,
        clock: Clock,
        wake_signal: WakeSignal,
        topic: str,
        fingerprint: str,
        pseudonyms: Pseudonyms,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._database = database
        self._changes = changes
        self._clock = clock
        self._wake_signal = wake_signal
        self._topic = topic
        self._fingerprint = fingerprint
        self._has_spellings = True
        self.questions = 0
        """How many questions decisions have asked this process. Work that can wait rests longer while there are any."""

    async def answer_facts(self, payload: SuppressionRequest) -> SuppressionResponse:
        """Facts once the log is applied up to the caller's positions.

        Raises FenceTimeout after FENCE_WAIT, AddressKeyMismatch, Invalid for a topic that we do not read.
        """
        self.questions += 1
        hashes = [digest for query in payload.customers for _, digest in query.hashes]
        self._check_address_key(payload.address_key, hashes)
        pseudonyms = {query.customer: self._pseudonyms.of_customer(query.customer) for query in payload.customers}

        async def read(tx: Tx) -> _FactRows:
            return _FactRows(
                await state_store.get_states(tx, [query.customer for query in payload.customers]),
                await entry_store.list_address_entries(tx, [*hashes, *pseudonyms.values()]),
                await hold_store.list_current_holds(tx, self._clock.now()),
                self._has_spellings and await entry_store.has_spellings(tx),
                await self._changes.get_position(tx),
            )

        rows = await self._read_once_applied(payload.positions, read)
        address_entries, self._has_spellings = rows.address_entries, rows.has_spellings
        if self._has_spellings and address_entries:
            await self._carry_over_spellings(payload.customers, address_entries.keys())
        answers: list[Suppressions] = []
        versions = payload.versions or (None,) * len(payload.customers)
        for query, version in zip(payload.customers, versions, strict=True):
            state = rows.states[query.customer]
            names = query.hashes if address_entries else ()
            erased = address_entries.get(pseudonyms[query.customer], ()) if address_entries else ()
            if version != state.version or erased or any(digest in address_entries for _, digest in names):
                answers.append(suppression_state.to_facts(state, address_entries, names, erased))
        return SuppressionResponse(
            tuple(answers), rows.holds, needs_spellings=self._has_spellings, position=rows.position
        )

    async def answer_changes(self, payload: ChangesRequest) -> ChangesResponse:
        """What has changed since facts were read. Raises FenceTimeout after FENCE_WAIT, Invalid."""
        return ChangesResponse(
            await self._read_once_applied(payload.positions, lambda tx: self._changes.get_changes(tx, payload.since))
        )

    async def wait_for(self, positions: LogPositions) -> None:
        """Wait until our database has applied the log up to these positions. Raises FenceTimeout, Invalid."""
        await wait_until_applied(self._database, self._log_positions(positions), FENCE_WAIT, self._wake_signal)

    async def _read_once_applied(self, positions: LogPositions, query: Callable[[Tx], Awaitable[T]]) -> T:
        return await read_once_applied(
            self._database, self._log_positions(positions), FENCE_WAIT, self._wake_signal, query
        )

    async def _carry_over_spellings(self, queries: Sequence[CustomerAddressHashes], known: Set[str]) -> None:
        """Keep entries that an address matches in another spelling under its canonical form, for all who have it."""
        matches = {
            (digest, query.addresses[index][1])
            for query in queries
            for index, digest in query.hashes
            if digest in known
        }
        async with self._database.read() as tx:
            spellings = set(await entry_store.find_spellings(tx, [spelling for spelling, _ in matches]))
        if spellings:
            async with self._database.write() as tx:
                await entry_store.carry_over_spellings(tx, [match for match in matches if match[0] in spellings])

    async def get_past_facts(self, payload: PastSuppressionsRequest) -> PastSuppressions:
        """What was known of a customer between two instants. Raises AddressKeyMismatch."""
        hashes = [digest for _, digest in payload.customer.hashes]
        self._check_address_key(payload.address_key, hashes)
        name, since, until = payload.customer.customer, payload.since, payload.until
        async with self._database.read() as tx:
            changes = await history_store.list_changes(tx, payload.customer, since, until)
            unknown = await history_store.count_removed_address_entries(tx, since, until) if hashes else 0
        return PastSuppressions(rebuild_facts(name, changes, since, until), unknown)

    async def get_recorded_facts(self, payload: SuppressionHistoryRequest) -> SuppressionHistory:
        """As `get_past_facts`, for several customers. Raises AddressKeyMismatch."""
        hashes = [digest for query in payload.customers for _, digest in query.hashes]
        self._check_address_key(payload.address_key, hashes)
        since, until = payload.since, payload.until
        async with self._database.read() as tx:
            changes = await history_store.list_changes_by_customer(tx, payload.customers, until)
            holds_then = await history_store.list_holds_between(tx, since, until)
            unknown = await history_store.count_removed_address_entries(tx, since, until) if hashes else 0
        names = [query.customer for query in payload.customers]
        found = tuple(states_between(name, changes[name], since, until) for name in names)
        return SuppressionHistory(found, tuple(holds_then), unknown)

    def _check_address_key(self, address_key: str, hashes: Sequence[str]) -> None:
        if address_key != self._fingerprint and (hashes or address_key):
            raise AddressKeyMismatch(
                "these addresses are hashed with another key than ours: set the same TACTFUL_ADDRESS_KEY everywhere"
            )

    def _log_positions(self, positions: LogPositions) -> Mapping[Partition, int]:
        unknown = sorted(positions.keys() - {self._topic})
        if unknown:
            raise Invalid(f"we do not read the topic `{unknown[0]}`", code="unknown_topic")
        return {
            Partition(topic, partition): offset
            for topic, offsets in positions.items()
            for partition, offset in offsets.items()
        }


def internal_routes(
    facts: FactsEndpoint, database: Database, clock: Clock, compile_condition: CompileCondition
) -> APIRouter:
    """/internal/suppression/..."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)
    _add_fact_routes(routes, facts)
    _add_erasure_routes(routes, facts, database, clock)
    _add_hold_routes(routes, database, clock)

    @routes.post(SITUATIONS_PATH)
    async def put_situations(request: Request) -> Response:
        payload = await internal_api.read_request(request, PolicySituations)
        validate_situations(payload, compile_condition)
        async with database.write() as tx:
            await situation_store.set_active_situations(tx, payload.policy_version, payload.situations, clock.now())
        return internal_api.respond(Acknowledgement())

    return routes


def _add_fact_routes(routes: APIRouter, facts: FactsEndpoint) -> None:
    """Facts of now, of a time, as they were recorded, and what has changed."""

    @routes.post(SUPPRESSION_FACTS_PATH)
    async def answer_with_facts(request: Request) -> Response:
        return internal_api.respond(
            await facts.answer_facts(await internal_api.read_request(request, SuppressionRequest))
        )

    @routes.post(SUPPRESSION_CHANGES_PATH)
    async def list_recent_changes(request: Request) -> Response:
        return internal_api.respond(
            await facts.answer_changes(await internal_api.read_request(request, ChangesRequest))
        )

    @routes.post(SUPPRESSION_FACTS_AT_PATH)
    async def get_past_facts(request: Request) -> Response:
        return internal_api.respond(
            await facts.get_past_facts(await internal_api.read_request(request, PastSuppressionsRequest))
        )

    @routes.post(SUPPRESSION_RECORDED_PATH)
    async def get_recorded_facts(request: Request) -> Response:
        return internal_api.respond(
            await facts.get_recorded_facts(await internal_api.read_request(request, SuppressionHistoryRequest))
        )


def _add_erasure_routes(routes: APIRouter, facts: FactsEndpoint, database: Database, clock: Clock) -> None:
    """How far erasures are, and the addresses that stay blocked after them."""

    sections = SectionReader(database, SECTIONS)

    @routes.post(SUPPRESSION_EXPORT_PATH, summary="What is known of a customer, page by page")
    async def read_export(request: Request) -> Response:
        return internal_api.respond(await sections.read_page(await internal_api.read_request(request, ExportRequest)))

    @routes.post(SUPPRESSION_ERASURES_PATH)
    async def list_erasures(request: Request) -> Response:
        payload = await internal_api.read_request(request, ErasuresRequest)
        await facts.wait_for(payload.positions)
        return internal_api.respond(await read_progress(database, payload.pseudonyms, ERASED_STORES))

    @routes.post(BLOCK_ADDRESSES_PATH)
    async def block_erased_addresses(request: Request) -> Response:
        payload = await internal_api.read_request(request, BlockAddressesRequest)
        await facts.wait_for(payload.positions)
        now = clock.now()
        async with database.write() as tx:
            await block_addresses(tx, payload.pseudonym, payload.hashes, new_entry_id(now), now)
        return internal_api.respond(Acknowledgement())


def _add_hold_routes(routes: APIRouter, database: Database, clock: Clock) -> None:
    """Incident holds: those of now, their ends and records, and the lifting of one."""

    @routes.post(HOLDS_PATH)
    @routes.get(HOLDS_PATH)
    async def get_current_holds() -> Response:
        async with database.read() as tx:
            return internal_api.respond(await hold_store.list_current_holds(tx, clock.now()))

    @routes.post(HOLD_ENDS_PATH)
    async def list_hold_ends(request: Request) -> Response:
        payload = await internal_api.read_request(request, HoldEndsRequest)
        async with database.read() as tx:
            return internal_api.respond(await hold_store.list_hold_ends(tx, payload.keys, payload.at))

    @routes.post(HOLD_RECORDS_PATH)
    async def list_hold_records(request: Request) -> Response:
        payload = await internal_api.read_request(request, HoldRecordsRequest)
        async with database.read() as tx:
            return internal_api.respond(await hold_store.list_hold_records(tx, payload.key, payload.limit, clock.now()))

    @routes.post(LIFT_HOLD_PATH)
    async def end_hold(request: Request) -> Response:
        payload = await internal_api.read_request(request, LiftHoldRequest)
        now = clock.now()
        async with database.write() as tx:
            lifted = await hold_store.lift_hold(tx, payload.key, payload.lifted_by, payload.reason, now, payload.rate)
            records = await hold_store.list_hold_records(tx, payload.key, 1, now)
        if lifted:
            log("hold_lifted", hold_key=payload.key, rate=payload.rate, via="console")
        return internal_api.respond(LiftedHold(records[0] if records else None))


def validate_situations(payload: PolicySituations, compile_condition: CompileCondition) -> None:
    """Refuse situations that cannot be compiled, before their policy becomes active. Raises Invalid."""
    try:
        compile_kinds([validate_document(SituationKind, item) for item in payload.situations], compile_condition)
    except DocumentError as error:
        raise Invalid("a situation is not understood", errors=[Problem(*item) for item in error.errors]) from None
    except ValueError as error:
        raise Invalid(f"a condition is not understood: {error}") from None
