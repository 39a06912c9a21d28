"""Edits by people and through links: checked against what is there, written with their history, then enforced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.facts import AttemptScope, OptOut
from services.clients.orchestrator import Enforcement
from services.kit.db.database import Database
from services.kit.errors import PreconditionFailed
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.edit_checks import check_fields, check_opt_out, check_whole
from services.preference.link_tokens import Token
from services.preference.metrics import Metrics
from services.preference.opt_out_enforcement import Enforcer, edit_scopes, opt_out_scope
from services.preference.preference_state import State, patch, set_parts

IfMatch = frozenset[int] | None
"""The versions that the caller expects; None: any."""


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit led to. `enforcement` is None when it opted out of nothing."""

    before: State
    state: State
    enforcement: Enforcement | None


class Editor:
    """The one way by which people change preferences."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics, enforcer: Enforcer) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._enforcer = enforcer

    async def edit(
        self, customer: str, fields: Mapping[str, Any], *, whole: bool, if_match: IfMatch, actor: str
    ) -> Edited:
        """Set these document fields. `whole`: they are the whole document.

        Raises DocumentError, UnknownTopic, NoProof, CannotSwitchOff, Partial, PreconditionFailed.
        """
        start, now = time.monotonic(), self._clock.now()

        def change(state: State, topics: store.Topics | None) -> State:
            if if_match is not None and state.version not in if_match:
                raise PreconditionFailed(
                    f"the preferences are at version {state.version}: read them again and repeat your edit"
                )
            if whole:
                check_whole(state, fields)
            after = patch(state, fields, now)
            check_fields(state.preference, after.preference, topics)
            return after

        cause = store.Cause("api", at=now, recorded=now, actor=actor)
        before, after = await self._write(customer, cause, change)
        scopes = edit_scopes(before.preference, after.preference, fields, now)
        self._metrics.changes("api", "opted_out" if scopes else "changed").inc()
        return Edited(before, after, await self._enforce(scopes, "api", start) if scopes else None)

    async def opt_out(self, customer: str, entry: OptOut, *, actor: str) -> Enforcement:
        """Switch this off. Once more does nothing more. Raises UnknownTopic, CannotSwitchOff."""
        start, now = time.monotonic(), self._clock.now()

        def change(state: State, topics: store.Topics | None) -> State:
            if entry not in state.preference.opt_outs:
                check_opt_out(entry, "", topics)
            return _with(state, entry, now)

        await self._write(customer, store.Cause("api", at=now, recorded=now, actor=actor), change)
        self._metrics.changes("api", "opted_out").inc()
        return await self._enforce([opt_out_scope(customer, entry)], "api", start)

    async def unsubscribe(self, token: Token) -> tuple[Enforcement, OptOut]:
        """What a link's holder asks for: no more of its topic; where that is required or unnamed, no marketing."""
        start, now = time.monotonic(), self._clock.now()
        chosen = OptOut(cls="marketing")

        def change(state: State, topics: store.Topics | None) -> State:
            nonlocal chosen
            required = topics is not None and any(t.required and t.key == token.topic for t in topics.topics)
            chosen = OptOut(cls="marketing") if token.topic is None or required else OptOut(topic=token.topic)
            return _with(state, chosen, now)

        await self._write(token.customer, store.Cause("unsubscribe", at=now, recorded=now), change)
        self._metrics.changes("unsubscribe", "opted_out").inc()
        return await self._enforce([opt_out_scope(token.customer, chosen)], "unsubscribe", start), chosen

    async def _write(
        self, customer: str, cause: store.Cause, change: Callable[[State, store.Topics | None], State]
    ) -> tuple[State, State]:
        async with self._database.write() as tx:
            before = (await store.lock(tx, [customer]))[customer]
            after = change(before, await store.topics(tx))
            if after.version != before.version:
                await store.save(tx, [store.Edit(before, after, cause)])
        return before, after

    async def _enforce(self, scopes: list[AttemptScope], source: str, start: float) -> Enforcement:
        enforcement = await self._enforcer.enforce(scopes)
        if enforcement.enforced:
            self._metrics.enforced(source).observe(time.monotonic() - start)
        return enforcement


def _with(state: State, entry: OptOut, now: int) -> State:
    """The state with this opt-out, at the front of nothing: order has no meaning. Unchanged if it is there."""
    if entry in state.preference.opt_outs:
        return state
    return set_parts(state, {"opt_outs": (*state.preference.opt_outs, entry)}, now)
