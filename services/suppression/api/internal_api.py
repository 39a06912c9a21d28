"""The doors for the other services: facts behind the fence, holds, and the policy's situations."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.documents import DocumentError, validate
from schemas.facts import Positions, SuppressionAnswer, SuppressionQuestion, Suppressions
from schemas.policy import SituationKind
from schemas.recorded import RecordedSuppressions, SuppressionsBetween
from services.clients.suppression import (
    ENDS,
    FACTS,
    FACTS_AT,
    HOLDS,
    RECORDED,
    SITUATIONS,
    Done,
    HandedSituations,
    HoldEnds,
    PastAnswer,
    PastQuestion,
)
from services.kit.bus.fence import Nudge, wait_applied
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.errors import Invalid, Problem
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.kit.runtime.clock import Clock
from services.suppression import customer_state
from services.suppression.as_of import standing
from services.suppression.as_of import states as states_between
from services.suppression.situation_intervals import CompileCondition, compile_kinds
from services.suppression.store import entry_store, history_store, hold_store, situation_store, state_store
from services.suppression.suppression_errors import OtherAddressKey

FENCE_WAIT = 2.0
"""Seconds that a question waits for our reader."""


class Facts:
    """Answers questions from the database, once it has applied the log up to the asker's positions."""

    def __init__(self, database: Database, clock: Clock, nudge: Nudge, topic: str, fingerprint: str) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge
        self._topic = topic
        self._fingerprint = fingerprint

    async def answer(self, question: SuppressionQuestion) -> SuppressionAnswer:
        """Raises FenceTimeout after 2 s, OtherAddressKey, Invalid for a topic that we do not read."""
        hashes = [digest for asked in question.customers for _, digest in asked.addresses]
        self._check_key(question.address_key, hashes)
        await wait_applied(self._database, self._places(question.positions), FENCE_WAIT, self._nudge)
        async with self._database.read() as tx:
            known = await state_store.states(tx, [asked.customer for asked in question.customers])
            of_addresses = await entry_store.of_addresses(tx, hashes)
            standing = await hold_store.standing(tx, self._clock.now())
        answers: list[Suppressions] = []
        versions = question.versions or (None,) * len(question.customers)
        for asked, version in zip(question.customers, versions, strict=True):
            own = known[asked.customer]
            names = [digest for _, digest in asked.addresses] if of_addresses else []
            if version != own.version or not of_addresses.keys().isdisjoint(names):
                answers.append(customer_state.facts(own, of_addresses, names))
        return SuppressionAnswer(tuple(answers), standing)

    async def past(self, question: PastQuestion) -> PastAnswer:
        """What was known between two instants. Raises OtherAddressKey."""
        hashes = [digest for _, digest in question.customer.addresses]
        self._check_key(question.address_key, hashes)
        name, since, until = question.customer.customer, question.since, question.until
        async with self._database.read() as tx:
            changes = await history_store.changes(tx, name, hashes, since, until)
            unknown = await history_store.removed_addresses(tx, since, until) if hashes else 0
        return PastAnswer(standing(name, changes, since, until), unknown)

    async def recorded(self, question: SuppressionsBetween) -> RecordedSuppressions:
        """As `past`, of several customers. Raises OtherAddressKey."""
        hashes = [digest for asked in question.customers for _, digest in asked.addresses]
        self._check_key(question.address_key, hashes)
        since, until = question.since, question.until
        async with self._database.read() as tx:
            changes = await history_store.changes_of(tx, question.customers, until)
            holds_then = await history_store.holds_between(tx, since, until)
            unknown = await history_store.removed_addresses(tx, since, until) if hashes else 0
        names = [asked.customer for asked in question.customers]
        found = tuple(states_between(name, changes[name], since, until) for name in names)
        return RecordedSuppressions(found, tuple(holds_then), unknown)

    def _check_key(self, address_key: str, hashes: Sequence[str]) -> None:
        if address_key != self._fingerprint and (hashes or address_key):
            raise OtherAddressKey(
                "these addresses are hashed with another key than ours: set the same TACTFUL_ADDRESS_KEY everywhere"
            )

    def _places(self, positions: Positions) -> Mapping[Partition, int]:
        unknown = sorted(positions.keys() - {self._topic})
        if unknown:
            raise Invalid(f"we do not read the topic `{unknown[0]}`", code="unknown_topic")
        return {
            Partition(topic, partition): offset
            for topic, offsets in positions.items()
            for partition, offset in offsets.items()
        }


def router(facts: Facts, database: Database, clock: Clock, compile_condition: CompileCondition) -> APIRouter:
    """/internal/suppression/..."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)

    @routes.post(FACTS)
    async def facts_of(request: Request) -> Response:
        return internal_api.answer(await facts.answer(await internal_api.question(request, SuppressionQuestion)))

    @routes.post(FACTS_AT)
    async def facts_at(request: Request) -> Response:
        return internal_api.answer(await facts.past(await internal_api.question(request, PastQuestion)))

    @routes.post(RECORDED)
    async def recorded(request: Request) -> Response:
        return internal_api.answer(await facts.recorded(await internal_api.question(request, SuppressionsBetween)))

    @routes.post(HOLDS)
    @routes.get(HOLDS)
    async def standing() -> Response:
        async with database.read() as tx:
            return internal_api.answer(await hold_store.standing(tx, clock.now()))

    @routes.post(ENDS)
    async def ends(request: Request) -> Response:
        question = await internal_api.question(request, HoldEnds)
        async with database.read() as tx:
            return internal_api.answer(await hold_store.ends(tx, question.keys, question.at))

    @routes.post(SITUATIONS)
    async def hand(request: Request) -> Response:
        question = await internal_api.question(request, HandedSituations)
        check(question, compile_condition)
        async with database.write() as tx:
            await situation_store.hand(tx, question.policy_version, question.situations, clock.now())
        return internal_api.answer(Done())

    return routes


def check(question: HandedSituations, compile_condition: CompileCondition) -> None:
    """Refuse what we could not read events with, while the policy is not active yet. Raises Invalid."""
    try:
        compile_kinds([validate(SituationKind, item) for item in question.situations], compile_condition)
    except DocumentError as error:
        raise Invalid("a situation is not understood", errors=[Problem(*item) for item in error.errors]) from None
    except ValueError as error:
        raise Invalid(f"a condition is not understood: {error}") from None
