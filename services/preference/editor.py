"""Edits by people and through links: checked against what is there, written with their history, then enforced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.facts import OptOut
from schemas.link_tokens import LinkToken
from schemas.service_api import AttemptScope, PolicyTopics
from services.clients.opt_out_barrier import Enforcement, OptOutBarrier
from services.kit.db.database import Database
from services.kit.errors import PreconditionFailed
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.edit_checks import check_additions, check_complete, check_opt_out
from services.preference.metrics import PreferenceMetrics
from services.preference.opt_out_scopes import customer_scope, edit_scopes, opt_out_scope
from services.preference.preference_state import PreferenceState, apply_patch, set_fields

ExpectedVersions = frozenset[int] | None
"""The versions that the caller expects; None: any."""


@dataclass(frozen=True, slots=True)
class EditResult:
    """What an edit led to. `enforcement` is None when it opted out of nothing."""

    before: PreferenceState
    after: PreferenceState
    enforcement: Enforcement | None


class PreferenceEditor:
    """The one way by which people change preferences."""

    def __init__(self, database: Database, clock: Clock, metrics: PreferenceMetrics, barrier: OptOutBarrier) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._barrier = barrier

    async def edit(
        self, customer: str, fields: Mapping[str, Any], *, whole: bool, if_match: ExpectedVersions, actor: str
    ) -> EditResult:
        """Set these document fields. `whole`: they are the whole document.

        Raises DocumentError, UnknownTopic, NoProof, CannotSwitchOff, Partial, PreconditionFailed.
        """
        start, now = time.monotonic(), self._clock.now()

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            if if_match is not None and state.version not in if_match:
                raise PreconditionFailed(
                    f"the preferences are at version {state.version}: read them again and repeat your edit"
                )
            if whole:
                check_complete(state, fields)
            after = apply_patch(state, fields, now)
            check_additions(state.preference, after.preference, topics)
            return after

        cause = store.ChangeCause("api", at=now, recorded=now, actor=actor)
        before, after = await self._apply_change(customer, cause, change)
        scopes = edit_scopes(before.preference, after.preference, fields, now)
        self._metrics.changes("api", "opted_out" if scopes else "changed").inc()
        if not scopes:
            return EditResult(before, after, None)
        return EditResult(before, after, await self._wait_until_enforced(customer, scopes, "api", start))

    async def opt_out(self, customer: str, entry: OptOut, *, actor: str) -> Enforcement:
        """Switch this off. Once more does nothing more. Raises UnknownTopic, CannotSwitchOff."""
        start, now = time.monotonic(), self._clock.now()

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            if entry not in state.preference.opt_outs:
                check_opt_out(entry, "", topics)
            return _add_opt_out(state, entry, now)

        await self._apply_change(customer, store.ChangeCause("api", at=now, recorded=now, actor=actor), change)
        self._metrics.changes("api", "opted_out").inc()
        return await self._wait_until_enforced(customer, [opt_out_scope(customer, entry)], "api", start)

    async def unsubscribe(self, token: LinkToken) -> tuple[Enforcement, OptOut]:
        """What a link's holder asks for: no more of its topic; where that is required or unnamed, no marketing."""
        start, now = time.monotonic(), self._clock.now()
        applied_opt_out = OptOut(cls="marketing")

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            nonlocal applied_opt_out
            required = topics is not None and any(
                topic.required and topic.key == token.topic for topic in topics.topics
            )
            applied_opt_out = OptOut(cls="marketing") if token.topic is None or required else OptOut(topic=token.topic)
            return _add_opt_out(state, applied_opt_out, now)

        await self._apply_change(token.customer, store.ChangeCause("unsubscribe", at=now, recorded=now), change)
        self._metrics.changes("unsubscribe", "opted_out").inc()
        scopes = [opt_out_scope(token.customer, applied_opt_out)]
        return await self._wait_until_enforced(token.customer, scopes, "unsubscribe", start), applied_opt_out

    async def _apply_change(
        self,
        customer: str,
        cause: store.ChangeCause,
        change: Callable[[PreferenceState, PolicyTopics | None], PreferenceState],
    ) -> tuple[PreferenceState, PreferenceState]:
        async with self._database.write() as tx:
            before = (await store.lock_states(tx, [customer]))[customer]
            after = change(before, await store.get_topics(tx))
            if after.version != before.version:
                await store.save_updates(tx, [store.StateUpdate(before, after, cause)])
        return before, after

    async def _wait_until_enforced(
        self, customer: str, scopes: list[AttemptScope], source: str, start: float
    ) -> Enforcement:
        enforcement = await self._barrier.wait_until_enforced(scopes, customer_scope(customer))
        if enforcement.enforced:
            self._metrics.enforcement_seconds(source).observe(time.monotonic() - start)
        return enforcement


def _add_opt_out(state: PreferenceState, entry: OptOut, now: int) -> PreferenceState:
    """The state with this opt-out, at the front of nothing: order has no meaning. Unchanged if it is there."""
    if entry in state.preference.opt_outs:
        return state
    return set_fields(state, {"opt_outs": (*state.preference.opt_outs, entry)}, now)
