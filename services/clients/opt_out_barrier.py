"""The opt-out barrier: after an opt-out has committed, waits until no open attempt can still send what it forbids.

The preference service calls it for opt-outs, the suppression service for do-not-contact entries and holds. Only then
do they answer with `enforced: true`.

Why this is strict. Before every handover the orchestrator first commits the attempt (the claim), then reads the facts,
then runs the rules (the recheck), then sends, then closes the attempt. The caller of the barrier first commits the
opt-out, then asks for the open attempts. So for each attempt one of two things is true:

- Its claim committed before the orchestrator answered us. Then the answer names it, and we wait until it is closed.
- Its claim committed later. Then it reads its facts after our commit, so the recheck sees the opt-out and stops it.

There is no third case, and attempts that begin while we wait need no waiting for. The order of the steps on either side
is what makes it correct: never read facts before the claim, never ask before the commit.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from schemas.service_api import AttemptScope, OpenAttempts
from services.kit.errors import TactfulError
from services.kit.observability.logs import log_error

MAX_BARRIER_WAIT = 5.0
"""Seconds that a request waits at most; after that its answer is `enforced: false` (HTTP 202)."""
BARRIER_POLL_INTERVAL = 0.020
"""Seconds between two questions to the orchestrator."""
MAX_SCOPES = 16
"""Scopes that are asked about one by one."""


class AttemptsApi(Protocol):
    """What the barrier asks the orchestrator: see `OrchestratorClient`."""

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now. Raises Transient."""

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open. Raises Transient."""


class Enforcement(NamedTuple):
    """Whether an opt-out is in force. `in_flight`: open attempts that may still be sent; None: could not be asked."""

    enforced: bool
    in_flight: int | None = 0

    def to_response(self) -> dict[str, Any]:
        """The fields that an HTTP response carries."""
        return {"enforced": True} if self.enforced else {"enforced": False, "in_flight": self.in_flight}


class OptOutBarrier:
    """Waits until the attempts that were open when it was called are closed. `wait` and `poll` are in seconds."""

    def __init__(
        self, attempts: AttemptsApi, *, wait: float = MAX_BARRIER_WAIT, poll: float = BARRIER_POLL_INTERVAL
    ) -> None:
        self._attempts = attempts
        self._wait = wait
        self._poll = poll

    async def wait_until_enforced(self, scopes: Sequence[AttemptScope], covering: AttemptScope) -> Enforcement:
        """Wait for the open attempts in any of the scopes. Call it after the commit of what forbids them.

        Each scope costs one call. So of more than MAX_SCOPES distinct ones, `covering` is asked about instead; it must
        match every attempt that the scopes match: we may wait for more, never for less.

        Does not raise when the orchestrator cannot be asked: the opt-out is committed all the same, only its effect on
        open attempts is unknown (`in_flight` None).
        """
        distinct = list(dict.fromkeys(scopes))
        remaining: int | None = None
        try:
            async with asyncio.timeout(self._wait):
                asked = distinct if len(distinct) <= MAX_SCOPES else [covering]
                answers = [await self._attempts.open_attempts(scope) for scope in asked]
                ids = sorted({attempt for answer in answers for attempt in answer.attempts})
                remaining = len(ids)
                while remaining:
                    remaining = await self._attempts.still_open(ids)
                    if remaining:
                        await asyncio.sleep(self._poll)
        except TimeoutError:
            return Enforcement(False, remaining)
        except TactfulError as error:
            log_error("opt_out_not_confirmed", error, "warning")
            return Enforcement(False, None)
        return Enforcement(True)
