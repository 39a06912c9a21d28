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

OPEN_ATTEMPTS = "/internal/orchestrator/attempts/open"
STILL_OPEN = "/internal/orchestrator/attempts/still-open"
FIND_KEY = "/internal/orchestrator/keys/find"
HOLD_PLAN = "/internal/orchestrator/holds/plan"
PLANNING = 30.0
"""Seconds that a plan of thousands of messages may take."""


class AttemptIds(msgspec.Struct, frozen=True):
    """Attempts that somebody waits for."""

    attempts: tuple[tuple[str, int], ...]


class StillOpen(msgspec.Struct, frozen=True):
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


class FoundKey(msgspec.Struct, frozen=True):
    """The owner, or None when the key is unknown or revoked."""

    owner: KeyOwner | None


class HoldQuestion(msgspec.Struct, frozen=True):
    """What would lifting this hold send? `rate`: messages a second of the release."""

    key: str
    rate: int


class Tally(msgspec.Struct, frozen=True):
    """How many messages would be decided so."""

    campaign: str
    channel: str
    outcome: str
    reason: str
    messages: int


class Planned(msgspec.Struct, frozen=True):
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
    now: tuple[Tally, ...]
    after_caps: tuple[Tally, ...]
    sample: tuple[Planned, ...]


class OrchestratorClient:
    """Asks over HTTP, or in process through an ASGI transport. Raises Transient and Permanent: see kit/door.py."""

    def __init__(self, client: httpx.AsyncClient, service_key: str) -> None:
        """`client` knows the base URL."""
        self._client = client
        self._key = service_key

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now."""
        return await internal_api.ask(self._client, OPEN_ATTEMPTS, scope, OpenAttempts, key=self._key)

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open."""
        answer = await internal_api.ask(self._client, STILL_OPEN, AttemptIds(tuple(ids)), StillOpen, key=self._key)
        return answer.count

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of the key with this digest, for `RemoteKeys`; None when unknown or revoked."""
        answer = await internal_api.ask(self._client, FIND_KEY, KeyDigest(digest), FoundKey, key=self._key)
        owner = answer.owner
        return None if owner is None else Principal(owner.name, Role(owner.role), owner.key_id)

    async def hold_plan(self, key: str, rate: int) -> HoldPlan:
        """What lifting this hold would do."""
        question = HoldQuestion(key, rate)
        return await internal_api.ask(self._client, HOLD_PLAN, question, HoldPlan, key=self._key, timeout=PLANNING)


WAIT = 5.0
"""Seconds that an answer to an opt-out waits at most."""
POLL = 0.020
"""Seconds between looks."""


class Attempts(Protocol):
    """What an opt-out asks the orchestrator: see `OrchestratorClient`."""

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now. Raises Transient."""

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open. Raises Transient."""


class Enforcement(NamedTuple):
    """`in_flight`: attempts that may still go out; None: the orchestrator could not be asked."""

    enforced: bool
    in_flight: int | None = 0

    def answer(self) -> dict[str, Any]:
        """The fields that an answer carries."""
        return {"enforced": True} if self.enforced else {"enforced": False, "in_flight": self.in_flight}


async def enforced(
    attempts: Attempts, scopes: Sequence[AttemptScope], *, wait: float = WAIT, poll: float = POLL
) -> Enforcement:
    """Wait until nothing that the scopes cover is being handed over. To be called after the commit.

    An attempt that was marked before we ask is waited for; one that is marked after we ask reads facts that hold the
    commit, and stops at the gate. So once this says `enforced`, no handover starts. `wait` and `poll` are in
    seconds. Never raises for an orchestrator that cannot be asked.
    """
    left: int | None = None
    try:
        async with asyncio.timeout(wait):
            found = [await attempts.open_attempts(scope) for scope in dict.fromkeys(scopes)]
            ids = sorted({attempt for answer in found for attempt in answer.attempts})
            left = len(ids)
            while left:
                left = await attempts.still_open(ids)
                if left:
                    await asyncio.sleep(poll)
    except TimeoutError:
        return Enforcement(False, left)
    except TactfulError as error:
        log_error("opt_out_not_confirmed", error, "warning")
        return Enforcement(False, None)
    return Enforcement(True)
