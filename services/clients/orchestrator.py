"""The door of the orchestrator, for the other services, and the wait that makes an opt-out strict."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import httpx
import msgspec

from schemas.facts import AttemptScope, OpenAttempts
from schemas.roles import Role
from schemas.times import Instant
from services.kit.errors import TactfulError
from services.kit.http import internal_api
from services.kit.http.auth import Principal
from services.kit.observability.logs import log_error

OPEN_ATTEMPTS_PATH = "/internal/orchestrator/attempts/open"
STILL_OPEN_PATH = "/internal/orchestrator/attempts/still-open"
FIND_KEY_PATH = "/internal/orchestrator/keys/find"
HOLD_PLAN_PATH = "/internal/orchestrator/holds/plan"
PLAN_TIMEOUT = 30.0
"""Seconds that a plan of thousands of messages may take."""


class AttemptIds(msgspec.Struct, frozen=True):
    """Attempts that somebody waits for."""

    attempts: tuple[tuple[str, int], ...]


class OpenAttemptCount(msgspec.Struct, frozen=True):
    """How many of them are open."""

    count: int


class KeyDigest(msgspec.Struct, frozen=True):
    """SHA-256 in hexadecimal of a key that somebody presented."""

    digest: str


class KeyOwner(msgspec.Struct, frozen=True):
    """Whose key it is."""

    name: str
    role: str
    key_id: str


class KeyLookup(msgspec.Struct, frozen=True):
    """The owner, or None when the key is unknown or revoked."""

    owner: KeyOwner | None


class HoldPlanRequest(msgspec.Struct, frozen=True):
    """What would lifting this hold send? `rate`: messages a second of the release."""

    key: str
    rate: int


class DecisionCount(msgspec.Struct, frozen=True):
    """How many messages would be decided so."""

    campaign: str
    channel: str
    outcome: str
    reason: str
    messages: int


class HoldPlanSample(msgspec.Struct, frozen=True):
    """One message, what would be decided about it at its `turn`, and until when it would then wait."""

    message_id: str
    campaign: str
    channel: str
    outcome: str
    reason: str
    turn: Instant
    until: Instant | None


class HoldPlan(msgspec.Struct, frozen=True):
    """What lifting a hold would do: see services/orchestrator/holds/lift_plan.py.

    `judged`: how many of those waiting were judged; `seconds`: how long the release takes; `expired`: how many of the
    judged ones would come too late.
    """

    at: Instant
    waiting: int
    judged: int
    seconds: int
    expired: int
    now: tuple[DecisionCount, ...]
    after_caps: tuple[DecisionCount, ...]
    sample: tuple[HoldPlanSample, ...]


class OrchestratorClient:
    """Asks over HTTP, or in process through an ASGI transport. Raises Transient and Permanent: see kit/door.py."""

    def __init__(self, client: httpx.AsyncClient, service_key: str) -> None:
        """`client` knows the base URL."""
        self._client = client
        self._service_key = service_key

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now."""
        return await internal_api.call(self._client, OPEN_ATTEMPTS_PATH, scope, OpenAttempts, key=self._service_key)

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open."""
        answer = await internal_api.call(
            self._client, STILL_OPEN_PATH, AttemptIds(tuple(ids)), OpenAttemptCount, key=self._service_key
        )
        return answer.count

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of the key with this digest, for `RemoteKeys`; None when unknown or revoked."""
        answer = await internal_api.call(
            self._client, FIND_KEY_PATH, KeyDigest(digest), KeyLookup, key=self._service_key
        )
        owner = answer.owner
        return None if owner is None else Principal(owner.name, Role(owner.role), owner.key_id)

    async def hold_plan(self, key: str, rate: int) -> HoldPlan:
        """What lifting this hold would do."""
        request = HoldPlanRequest(key, rate)
        return await internal_api.call(
            self._client, HOLD_PLAN_PATH, request, HoldPlan, key=self._service_key, timeout=PLAN_TIMEOUT
        )


MAX_WAIT = 5.0
"""Seconds that an answer to an opt-out waits at most."""
POLL_INTERVAL = 0.020
"""Seconds between looks."""


class AttemptsApi(Protocol):
    """What an opt-out asks the orchestrator: see `OrchestratorClient`."""

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now. Raises Transient."""

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open. Raises Transient."""


class Enforcement(NamedTuple):
    """`in_flight`: attempts that may still go out; None: the orchestrator could not be asked."""

    enforced: bool
    in_flight: int | None = 0

    def to_response(self) -> dict[str, Any]:
        """The fields that an answer carries."""
        return {"enforced": True} if self.enforced else {"enforced": False, "in_flight": self.in_flight}


async def wait_until_enforced(
    attempts: AttemptsApi, scopes: Sequence[AttemptScope], *, wait: float = MAX_WAIT, poll: float = POLL_INTERVAL
) -> Enforcement:
    """Wait until nothing that the scopes cover is being handed over. To be called after the commit.

    An attempt that was marked before we ask is waited for; one that is marked after we ask reads facts that hold the
    commit, and stops at the gate. So once this says `enforced`, no handover starts. `wait` and `poll` are in
    seconds. Never raises for an orchestrator that cannot be asked.
    """
    remaining: int | None = None
    try:
        async with asyncio.timeout(wait):
            found = [await attempts.open_attempts(scope) for scope in dict.fromkeys(scopes)]
            ids = sorted({attempt for answer in found for attempt in answer.attempts})
            remaining = len(ids)
            while remaining:
                remaining = await attempts.still_open(ids)
                if remaining:
                    await asyncio.sleep(poll)
    except TimeoutError:
        return Enforcement(False, remaining)
    except TactfulError as error:
        log_error("opt_out_not_confirmed", error, "warning")
        return Enforcement(False, None)
    return Enforcement(True)
