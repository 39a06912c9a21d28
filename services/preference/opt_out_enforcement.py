"""An opt-out is in force when nothing that it covers can be handed over any more: commit, ask, wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.facts import AttemptScope, Consent, OptOut, Preference
from schemas.times import Instant
from schemas.vocabulary import Class
from services.clients.orchestrator import MAX_WAIT, POLL_INTERVAL, AttemptsApi, Enforcement, wait_until_enforced

MAX_SCOPES = 8
OPT_OUT_CLASSES = (Class.SERVICE.value, Class.MARKETING.value)
"""The classes that a customer can switch off."""


class OptOutEnforcer:
    """Waits for what is already being handed over."""

    def __init__(self, orchestrator: AttemptsApi, *, wait: float = MAX_WAIT, poll: float = POLL_INTERVAL) -> None:
        """`wait` and `poll` are in seconds."""
        self._orchestrator = orchestrator
        self._wait = wait
        self._poll = poll

    async def enforce(self, scopes: Sequence[AttemptScope]) -> Enforcement:
        """To be called after the opt-out is committed."""
        return await wait_until_enforced(self._orchestrator, _limit_scopes(scopes), wait=self._wait, poll=self._poll)


def opt_out_scope(customer: str, entry: OptOut) -> AttemptScope:
    """The attempts that this entry of `opt_outs` concerns."""
    return AttemptScope(
        customer=customer,
        channels=None if entry.channel is None else (entry.channel,),
        topics=None if entry.topic is None else (entry.topic,),
        classes=OPT_OUT_CLASSES if entry.cls is None else (entry.cls,),
    )


def edit_scopes(
    before: Preference, after: Preference, edited_fields: Mapping[str, object], now: Instant
) -> list[AttemptScope]:
    """The attempts that an edit of the `named` fields opts out of; none: it opts out of nothing.

    What was opted out of before and is named again counts too, so that a repeated request learns whether it is
    enforced by now.
    """
    scopes: list[AttemptScope] = []
    if "opt_outs" in edited_fields:
        scopes.extend(opt_out_scope(after.customer, entry) for entry in after.opt_outs)
    if "paused_until" in edited_fields and after.paused_until is not None and after.paused_until > now:
        scopes.append(opt_out_scope(after.customer, OptOut(all=True)))
    if "consent" in edited_fields:
        not_granted = [record for record in after.consent if record.status != "granted" or _is_expired(record, now)]
        remaining = {(record.channel, record.topic) for record in after.consent}
        removed = [record for record in before.consent if (record.channel, record.topic) not in remaining]
        scopes.extend(_consent_scope(after.customer, record) for record in [*not_granted, *removed])
    return scopes


def _consent_scope(customer: str, record: Consent) -> AttemptScope:
    topics = None if record.topic == "*" else (record.topic,)
    return AttemptScope(customer=customer, channels=(record.channel,), topics=topics, classes=(Class.MARKETING.value,))


def _is_expired(record: Consent, now: Instant) -> bool:
    return record.expires is not None and record.expires <= now


def _limit_scopes(scopes: Sequence[AttemptScope]) -> Sequence[AttemptScope]:
    """The scopes, or where they are many one that covers them all: more is waited for, nothing is missed."""
    if len(scopes) <= MAX_SCOPES:
        return scopes
    return [AttemptScope(customer=scopes[0].customer, classes=OPT_OUT_CLASSES)]
