"""Asks for the removal of entries, and decides about it: two people, a reason, and nothing against the customer's word.

Who reported spam or told us to stop has to say the opposite: by START on the channel, which lifts what STOP has made,
or by a consent that is newer than the entry. The consent is looked for when the removal is asked for, and again when it
is approved.
"""

import secrets
from typing import Any, Final, Protocol

from sqlalchemy import Row

from schemas.suppression_list_api import (
    NewConsentQuestion,
)
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Database, Tx
from services.kit.errors import Forbidden, Invalid, NotFound, Problem, WrongState
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.suppression.entry_registration import SuppressionList
from services.suppression.removals import removal_store
from services.suppression.removals.removal_store import RemovalState
from services.suppression.store import entry_store
from services.suppression.suppression_errors import CustomerRefusalKept, ErasedEntryKept

CUSTOMER_REFUSALS: Final = frozenset({SuppressionReason.SPAM_COMPLAINT.value, SuppressionReason.STOP_KEYWORD.value})
"""Reasons that are the customer's own word."""


class OwnRemoval(Forbidden):
    """Whoever asked for a removal cannot approve it, nor whoever shares a key with them."""

    default_code = "own_removal"


class RemovalChecksApi(Protocol):
    """What this asks of the orchestrator: services.clients.orchestrator.OrchestratorClient."""

    async def are_two_people(self, first: str, second: str) -> bool:
        """Whether two keys are of two people, neither of whom has made a key of the other. Raises Transient."""

    async def has_consented(self, question: NewConsentQuestion) -> bool:
        """Whether the customer has given such a consent. Raises Transient."""


class RemovalRequests:
    """Takes and decides removal requests."""

    def __init__(
        self, database: Database, suppression_list: SuppressionList, checks: RemovalChecksApi, clock: Clock
    ) -> None:
        self._database = database
        self._suppression_list = suppression_list
        self._checks = checks
        self._clock = clock

    async def request(self, entry_id: str, reason: str | None, consent_of: str | None, by: str) -> Row[Any]:
        """The new request. Raises NotFound, Invalid without a reason, ErasedEntryKept, CustomerRefusalKept, WrongState
        for an entry whose removal is asked for already.
        """
        await self._check_removable(entry_id, consent_of)
        if reason is None:
            problem = Problem("/reason", "missing", "say why the entry is to be removed, for whoever approves it")
            raise Invalid("a removal needs a reason; see errors.", errors=[problem])
        now = self._clock.now()
        id = f"rem_{max(now, 0):014x}{secrets.token_hex(6)}"
        async with self._database.write() as tx:
            await entry_store.lock_address_entries(tx)
            open_request = await removal_store.find_open_request(tx, entry_id)
            if open_request is not None:
                raise WrongState(f"the removal of this entry is asked for already: {open_request} waits for a decision")
            await removal_store.insert_request(tx, id, entry_id, reason, consent_of, by, now)
            request = await _get(tx, id)
        log("removal_requested", removal=id, entry=entry_id, by=by)
        return request

    async def approve(self, id: str, by: str) -> Row[Any]:
        """The request, approved and its entry removed; or `void`, where the entry had ended before.

        Raises NotFound, WrongState for one that is decided, OwnRemoval, CustomerRefusalKept, Transient.
        """
        request = await self._get_open(id)
        if not await self._checks.are_two_people(request.requested_by, by):
            raise OwnRemoval(
                f"`{request.requested_by}` has asked for this removal. You are the same person, or one of you has made "
                "a key of the other, directly or through others: somebody else has to approve it"
            )
        try:
            await self._check_removable(request.entry_id, request.consent_of)
        except NotFound:
            return await self._decide(id, "void", by, "the entry had ended before")
        now = self._clock.now()
        async with self._database.write() as tx:
            if not await removal_store.decide_request(tx, id, "approved", by, None, now):
                raise WrongState("somebody has decided this request meanwhile")
            await self._suppression_list.remove_entry(tx, request.entry_id, by, request.reason, now)
            approved = await _get(tx, id)
        log("removal_approved", removal=id, entry=request.entry_id, by=by)
        return approved

    async def decline(self, id: str, reason: str | None, by: str) -> Row[Any]:
        """The request, declined; `withdrawn` by whoever asked for it. Raises NotFound, WrongState."""
        request = await self._get_open(id)
        return await self._decide(id, "withdrawn" if by == request.requested_by else "declined", by, reason)

    async def _decide(self, id: str, state: RemovalState, by: str, reason: str | None) -> Row[Any]:
        async with self._database.write() as tx:
            if not await removal_store.decide_request(tx, id, state, by, reason, self._clock.now()):
                raise WrongState("somebody has decided this request meanwhile")
            decided = await _get(tx, id)
        log("removal_declined", removal=id, state=state, by=by)
        return decided

    async def _get_open(self, id: str) -> Row[Any]:
        async with self._database.read() as tx:
            request = await _get(tx, id)
        if request.state != "requested":
            raise WrongState(f"this request is {request.state}; ask for the removal anew with DELETE, if it is needed")
        return request

    async def _check_removable(self, entry_id: str, consent_of: str | None) -> None:
        """Raises NotFound, ErasedEntryKept, CustomerRefusalKept, Transient."""
        async with self._database.read() as tx:
            entry = await entry_store.get_entry(tx, entry_id)
            hashes = await entry_store.list_hashes(tx, entry_id)
        if entry is None or entry.removed_at is not None:
            raise NotFound("no live entry has this id; GET /v1/suppressions lists them")
        if entry.reason == SuppressionReason.ERASED:
            raise ErasedEntryKept
        if entry.reason not in CUSTOMER_REFUSALS:
            return
        if consent_of is None or (entry.customer is not None and entry.customer != consent_of):
            raise CustomerRefusalKept(entry.reason)
        question = NewConsentQuestion(consent_of, tuple(hashes), entry.channel, entry.topic, entry.at)
        if not await self._checks.has_consented(question):
            raise CustomerRefusalKept(entry.reason)


async def _get(tx: Tx, id: str) -> Row[Any]:
    request = await removal_store.get_request(tx, id)
    if request is None:
        raise NotFound("there is no such removal request; GET /v1/suppressions/removals lists them")
    return request
