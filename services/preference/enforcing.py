"""An opt-out is in force when nothing that it covers can be handed over any more: commit, ask, wait.

An attempt that was marked before we ask is waited for; one that is marked after we ask reads its facts after our
commit and stops at the gate. So once this says `enforced`, no handover starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.facts import AttemptScope, Consent, OpenAttempts, OptOut, Preference
from schemas.times import Instant
from schemas.vocabulary import Class
from services.kit.errors import TactfulError
from services.kit.logs import log_error

WAIT = 5.0
"""Seconds to wait at most."""
POLL = 0.020
"""Seconds between looks."""
MOST_SCOPES = 8
SILENCED = (Class.SERVICE.value, Class.MARKETING.value)
"""The classes that a customer can switch off."""


class Orchestrator(Protocol):
    """What we ask of the orchestrator: services.orchestrator.client.OrchestratorClient."""

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts in the scope that have not ended. Raises Transient."""

    async def still_open(self, ids: Sequence[int]) -> int:
        """How many of these attempts have not ended. Raises Transient."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """`in_flight`: attempts that may still go out; None: the orchestrator could not be asked."""

    enforced: bool
    in_flight: int | None = 0

    def answer(self) -> dict[str, Any]:
        """The two fields that an answer carries."""
        return {"enforced": True} if self.enforced else {"enforced": False, "in_flight": self.in_flight}


class Enforcer:
    """Waits for what is already being handed over."""

    def __init__(self, orchestrator: Orchestrator, *, wait: float = WAIT, poll: float = POLL) -> None:
        """`wait` and `poll` are in seconds."""
        self._orchestrator = orchestrator
        self._wait = wait
        self._poll = poll

    async def enforce(self, scopes: Sequence[AttemptScope]) -> Enforcement:
        """To be called after the opt-out is committed. Never raises for an orchestrator that cannot be asked."""
        left: int | None = None
        try:
            async with asyncio.timeout(self._wait):
                found = [await self._orchestrator.open_attempts(scope) for scope in _few(scopes)]
                ids = sorted({attempt for answer in found for attempt in answer.attempts})
                left = len(ids)
                while left:
                    left = await self._orchestrator.still_open(ids)
                    if left:
                        await asyncio.sleep(self._poll)
        except TimeoutError:
            return Enforcement(False, left)
        except TactfulError as error:
            log_error("opt_out_not_confirmed", error, "warning")
            return Enforcement(False, None)
        return Enforcement(True)


def opt_out_scope(customer: str, entry: OptOut) -> AttemptScope:
    """The attempts that this entry of `opt_outs` concerns."""
    return AttemptScope(
        customer=customer,
        channels=None if entry.channel is None else (entry.channel,),
        topics=None if entry.topic is None else (entry.topic,),
        classes=SILENCED if entry.cls is None else (entry.cls,),
    )


def edit_scopes(before: Preference, after: Preference, named: Mapping[str, object], now: Instant) -> list[AttemptScope]:
    """The attempts that an edit of the `named` fields opts out of; none: it opts out of nothing.

    What was opted out of before and is named again counts too, so that a repeated request learns whether it is
    enforced by now.
    """
    scopes: list[AttemptScope] = []
    if "opt_outs" in named:
        scopes.extend(opt_out_scope(after.customer, entry) for entry in after.opt_outs)
    if "paused_until" in named and after.paused_until is not None and after.paused_until > now:
        scopes.append(opt_out_scope(after.customer, OptOut(all=True)))
    if "consent" in named:
        refused = [record for record in after.consent if record.status != "granted" or _over(record, now)]
        kept = {(record.channel, record.topic) for record in after.consent}
        gone = [record for record in before.consent if (record.channel, record.topic) not in kept]
        scopes.extend(_consent_scope(after.customer, record) for record in [*refused, *gone])
    return scopes


def _consent_scope(customer: str, record: Consent) -> AttemptScope:
    topics = None if record.topic == "*" else (record.topic,)
    return AttemptScope(customer=customer, channels=(record.channel,), topics=topics, classes=(Class.MARKETING.value,))


def _over(record: Consent, now: Instant) -> bool:
    return record.expires is not None and record.expires <= now


def _few(scopes: Sequence[AttemptScope]) -> Iterable[AttemptScope]:
    """The scopes, or where they are many one that covers them all: more is waited for, nothing is missed."""
    if len(scopes) <= MOST_SCOPES:
        return scopes
    return [AttemptScope(customer=scopes[0].customer, classes=SILENCED)]
