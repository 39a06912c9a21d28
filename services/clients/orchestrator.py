"""HTTP client of the orchestrator, for the preference and suppression services."""

from collections.abc import Sequence
from typing import Final

import httpx

from schemas.audit_log import AuditEntry
from schemas.roles import Role
from schemas.service_api import (
    CONTACT_COUNTS_PATH,
    FIND_KEY_PATH,
    HOLD_PLAN_PATH,
    OPEN_ATTEMPTS_PATH,
    RECORD_AUDIT_PATH,
    STILL_OPEN_PATH,
    UNKNOWN_NAMES_PATH,
    AttemptIds,
    AttemptScope,
    AuditNumber,
    ContactCountRequest,
    ContactCounts,
    HoldPlan,
    HoldPlanRequest,
    KeyDigest,
    KeyLookup,
    OpenAttemptCount,
    OpenAttempts,
    ScopeNames,
    UnknownScopeNames,
)
from schemas.suppression_list_api import (
    CONSENT_PATH,
    TWO_PEOPLE_PATH,
    KeyNames,
    NewConsentQuestion,
    YesOrNo,
)
from schemas.times import Instant
from services.kit.http import internal_api
from services.kit.http.auth import Principal

HOLD_PLAN_TIMEOUT = 30.0
"""Seconds that a plan may take: it evaluates thousands of messages."""


AUDIT_SECONDS: Final = 2.0
"""Seconds that a request waits for its entry in the audit log."""


class OrchestratorClient:
    """Calls over HTTP, or in process through an ASGI transport.

    Every method raises Transient when the service cannot answer now, Permanent when it refuses: see
    services/kit/http/internal_api.py.
    """

    def __init__(self, http: httpx.AsyncClient, service_key: str) -> None:
        """`http` has the base URL."""
        self._http = http
        self._service_key = service_key

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now."""
        return await internal_api.call(self._http, OPEN_ATTEMPTS_PATH, scope, OpenAttempts, key=self._service_key)

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open."""
        answer = await internal_api.call(
            self._http, STILL_OPEN_PATH, AttemptIds(tuple(ids)), OpenAttemptCount, key=self._service_key
        )
        return answer.count

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of the API key with this digest, for `RemoteKeyRing`; None when it is unknown or revoked."""
        answer = await internal_api.call(self._http, FIND_KEY_PATH, KeyDigest(digest), KeyLookup, key=self._service_key)
        owner = answer.owner
        return None if owner is None else Principal(owner.name, Role(owner.role), owner.key_id, person=owner.person)

    async def append(self, entry: AuditEntry) -> int:
        """Has the orchestrator keep an entry of the audit log; returns its number once it is durable."""
        answer = await internal_api.call(
            self._http, RECORD_AUDIT_PATH, entry, AuditNumber, key=self._service_key, timeout=AUDIT_SECONDS
        )
        return answer.seq

    async def hold_plan(self, key: str, rate: int) -> HoldPlan:
        """What lifting the hold with this key would do, at `rate` messages per second."""
        request = HoldPlanRequest(key, rate)
        return await internal_api.call(
            self._http, HOLD_PLAN_PATH, request, HoldPlan, key=self._service_key, timeout=HOLD_PLAN_TIMEOUT
        )

    async def unknown_names(self, names: ScopeNames) -> UnknownScopeNames:
        """Which of these names no topic of the active policy and no campaign has."""
        return await internal_api.call(self._http, UNKNOWN_NAMES_PATH, names, UnknownScopeNames, key=self._service_key)

    async def count_contacts(self, customer: str, since: Instant) -> dict[str, int]:
        """How many messages the customer has got since an instant, by topic."""
        request = ContactCountRequest(customer, since)
        answer = await internal_api.call(
            self._http, CONTACT_COUNTS_PATH, request, ContactCounts, key=self._service_key, timeout=1.0
        )
        return answer.by_topic

    async def are_two_people(self, first: str, second: str) -> bool:
        """Whether two names of keys are of two people, neither of whom has made a key of the other."""
        answer = await internal_api.call(
            self._http, TWO_PEOPLE_PATH, KeyNames(first, second), YesOrNo, key=self._service_key
        )
        return answer.yes

    async def has_consented(self, question: NewConsentQuestion) -> bool:
        """Whether the customer has given such a consent."""
        return (await internal_api.call(self._http, CONSENT_PATH, question, YesOrNo, key=self._service_key)).yes
