"""Edits of preferences through the API and unsubscribe links: checked, written with their history, then enforced.

An edit is checked against the locked state and committed before the opt-out barrier is asked; that order makes an
opt-out strict (services/clients/opt_out_barrier.py). Checks concern only what an edit adds: an entry that was there
before may name a topic that the policy no longer has.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from schemas.consent_evidence import find_unproven
from schemas.documents import did_you_mean
from schemas.facts import Address, Consent, OptOut, Preference
from schemas.link_tokens import LinkToken
from schemas.policy_topics import PolicyTopics
from schemas.service_api import AttemptScope
from schemas.vocabulary import Class
from services.clients.opt_out_barrier import Enforcement, OptOutBarrier
from services.erasure.erased_customers import CustomerErased, ErasedCustomers
from services.kit.db.database import Database, Tx
from services.kit.errors import PreconditionFailed, Problem
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.consents.change_origin import UNKNOWN_ORIGIN, ChangeOrigin
from services.preference.consents.consent_terms import DEFAULT_TERMS, ConsentTerms
from services.preference.consents.double_opt_in import ALL_TOPICS, must_be_confirmed
from services.preference.consents.wordings import remember_wording
from services.preference.document_form import FIELDS, consent_document, preference_document
from services.preference.metrics import PreferenceMetrics
from services.preference.opt_out_scopes import customer_scope, edit_scopes, opt_out_scope
from services.preference.preference_errors import (
    ConfirmationNeeded,
    IncompleteDocument,
    MissingConsentProof,
    OptOutNotAllowed,
    UnknownTopic,
)
from services.preference.preference_state import PreferenceState, apply_patch, empty_state, set_fields

CENTRE: Final = "centre"
"""The source of changes that were made on the pages behind the links in messages."""
MAX_LISTED_TOPICS: Final = 20
"""So many topics are named when one is unknown."""
ExpectedVersions = frozenset[int] | None
"""The versions that the caller expects; None: any."""


class Choice(NamedTuple):
    """What somebody has chosen: the document fields to set, and the opt-outs among it, those too that were there.

    `texts`: those that the consents among it name by their keys, each with its locale.
    """

    fields: Mapping[str, Any]
    refused: Sequence[OptOut] = ()
    texts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class EditResult:
    """The state before and after an edit. `enforcement` is None when the edit opted out of nothing."""

    before: PreferenceState
    after: PreferenceState
    enforcement: Enforcement | None


class PreferenceEditor:
    """Applies every change that does not come from the event log."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        metrics: PreferenceMetrics,
        barrier: OptOutBarrier,
        region: str | None,
        erased: ErasedCustomers,
        terms: ConsentTerms = DEFAULT_TERMS,
    ) -> None:
        """`region`: the organisation's country. `terms`: when consents end that have no end of their own."""
        self._terms = terms
        self._erased = erased
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._barrier = barrier
        self._region = region

    async def edit(
        self,
        customer: str,
        fields: Mapping[str, Any],
        *,
        whole: bool,
        if_match: ExpectedVersions,
        actor: str,
        origin: ChangeOrigin = UNKNOWN_ORIGIN,
    ) -> EditResult:
        """Set these document fields. `whole`: they are the whole document (PUT). `origin`: where the request came from.

        Raises DocumentError, UnknownTopic, MissingConsentProof, ConfirmationNeeded, OptOutNotAllowed,
        IncompleteDocument, PreconditionFailed, CustomerErased.
        """
        start, now = time.monotonic(), self._clock.now()

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            if if_match is not None and state.version not in if_match:
                raise PreconditionFailed(
                    f"the preferences are at version {state.version}: read them again and repeat your edit"
                )
            if whole:
                check_complete(state, fields)
            after = apply_patch(state, fields, now, self._terms)
            check_additions(state.preference, after.preference, topics)
            return after

        cause = store.ChangeCause("api", at=now, recorded=now, actor=actor, **origin._asdict())
        before, after = await self._apply_change(customer, cause, change)
        scopes = edit_scopes(before.preference, after.preference, fields, now)
        self._metrics.changes("api", "opted_out" if scopes else "changed").inc()
        if not scopes:
            return EditResult(before, after, None)
        return EditResult(before, after, await self._wait_until_enforced(customer, scopes, "api", start))

    async def opt_out(
        self, customer: str, entry: OptOut, *, actor: str, origin: ChangeOrigin = UNKNOWN_ORIGIN
    ) -> Enforcement:
        """Add one opt-out; idempotent. Raises UnknownTopic, OptOutNotAllowed, CustomerErased."""
        start, now = time.monotonic(), self._clock.now()

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            if entry not in state.preference.opt_outs:
                check_opt_out(entry, "", topics)
            return _add_opt_out(state, entry, now)

        cause = store.ChangeCause("api", at=now, recorded=now, actor=actor, **origin._asdict())
        await self._apply_change(customer, cause, change)
        self._metrics.changes("api", "opted_out").inc()
        return await self._wait_until_enforced(customer, [opt_out_scope(customer, entry)], "api", start)

    async def choose(
        self,
        customer: str,
        compute: Callable[[Preference, PolicyTopics | None], Choice],
        *,
        expected: int | None = None,
        origin: ChangeOrigin = UNKNOWN_ORIGIN,
    ) -> EditResult:
        """Set the document fields that `compute` makes of the customer's present preferences, under their lock: what
        somebody has chosen on a page, whatever has changed since that was shown. No fields: nothing is written.

        `expected`: the version that the preferences must have. Raises as `edit` does.
        """
        start, now, choice = time.monotonic(), self._clock.now(), Choice({})

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            nonlocal choice
            if expected is not None and state.version != expected:
                raise PreconditionFailed(f"the preferences are at version {state.version}")
            choice = compute(state.preference, topics)
            if not choice.fields:
                return state
            after = apply_patch(state, choice.fields, now, self._terms)
            check_additions(state.preference, after.preference, topics, are_confirmed=True)
            return after

        async def keep_texts(tx: Tx) -> None:
            for text, locale in choice.texts:
                await remember_wording(tx, text, locale, now)

        cause = store.ChangeCause(CENTRE, at=now, recorded=now, **origin._asdict())
        before, after = await self._apply_change(customer, cause, change, keep_texts)
        scopes = edit_scopes(before.preference, after.preference, choice.fields, now)
        scopes += [opt_out_scope(customer, entry) for entry in choice.refused]
        self._metrics.changes(CENTRE, "opted_out" if scopes else "changed" if choice.fields else "unchanged").inc()
        if not scopes:
            return EditResult(before, after, None)
        return EditResult(before, after, await self._wait_until_enforced(customer, scopes, CENTRE, start))

    async def change_addresses(
        self,
        customer: str,
        compute: Callable[[Preference], Iterable[Address]],
        *,
        source: str,
        actor: str | None = None,
        origin: ChangeOrigin = UNKNOWN_ORIGIN,
    ) -> EditResult:
        """Set the addresses that `compute` makes of the customer's present preferences, under their lock. Where they
        are the same, nothing is written. Raises what `compute` raises, and CustomerErased.
        """
        now = self._clock.now()

        def change(state: PreferenceState, _: PolicyTopics | None) -> PreferenceState:
            after = tuple(compute(state.preference))
            return state if after == state.preference.addresses else set_fields(state, {"addresses": after}, now)

        cause = store.ChangeCause(source, at=now, recorded=now, actor=actor, **origin._asdict())
        before, after = await self._apply_change(customer, cause, change)
        self._metrics.changes(source, "unchanged" if after is before else "changed").inc()
        return EditResult(before, after, None)

    async def unsubscribe(self, token: LinkToken, origin: ChangeOrigin = UNKNOWN_ORIGIN) -> tuple[Enforcement, OptOut]:
        """Apply an unsubscribe link: opt out of its topic, or of marketing when that is required or not named.

        Of an erased customer nothing is kept, and what they ask is in force already.
        """
        start, now = time.monotonic(), self._clock.now()
        applied_opt_out = OptOut(cls="marketing")

        def change(state: PreferenceState, topics: PolicyTopics | None) -> PreferenceState:
            nonlocal applied_opt_out
            required = topics is not None and any(
                topic.required and topic.key == token.topic for topic in topics.topics
            )
            applied_opt_out = OptOut(cls="marketing") if token.topic is None or required else OptOut(topic=token.topic)
            return _add_opt_out(state, applied_opt_out, now)

        cause = store.ChangeCause("unsubscribe", at=now, recorded=now, **origin._asdict())
        try:
            await self._apply_change(token.customer, cause, change)
        except CustomerErased:
            return Enforcement(enforced=True, in_flight=0), OptOut(topic=token.topic)
        self._metrics.changes("unsubscribe", "opted_out").inc()
        scopes = [opt_out_scope(token.customer, applied_opt_out)]
        return await self._wait_until_enforced(token.customer, scopes, "unsubscribe", start), applied_opt_out

    async def _apply_change(
        self,
        customer: str,
        cause: store.ChangeCause,
        change: Callable[[PreferenceState, PolicyTopics | None], PreferenceState],
        keep: Callable[[Tx], Awaitable[None]] | None = None,
    ) -> tuple[PreferenceState, PreferenceState]:
        async with self._database.write() as tx:
            before = (await store.lock_states(tx, [customer], self._region, self._erased)).get(customer)
            if before is None:
                raise CustomerErased
            after = change(before, await store.get_topics(tx))
            if after.version != before.version:
                await store.save_updates(tx, [store.StateUpdate(before, after, cause)])
            if keep is not None:
                await keep(tx)
        return before, after

    async def _wait_until_enforced(
        self, customer: str, scopes: list[AttemptScope], source: str, start: float
    ) -> Enforcement:
        enforcement = await self._barrier.wait_until_enforced(scopes, customer_scope(customer))
        if enforcement.enforced:
            self._metrics.enforcement_seconds(source).observe(time.monotonic() - start)
        return enforcement


def _add_opt_out(state: PreferenceState, entry: OptOut, now: int) -> PreferenceState:
    """The state with this opt-out; the same object when it has it already."""
    if entry in state.preference.opt_outs:
        return state
    return set_fields(state, {"opt_outs": (*state.preference.opt_outs, entry)}, now)


def check_complete(state: PreferenceState, fields: Mapping[str, Any]) -> None:
    """Raise IncompleteDocument when a field that is set today is missing from a whole document."""
    current, default = (
        preference_document(state.preference),
        preference_document(empty_state(state.customer).preference),
    )
    missing = [name for name in FIELDS if name not in fields and current[name] != default[name]]
    if missing:
        advice = "is set today: send it, or use PATCH"
        raise IncompleteDocument(
            f"a PUT replaces the whole document, and this one lacks {', '.join(missing)}: send all, or use PATCH",
            errors=[Problem(f"/{name}", "missing", f"`{name}` {advice}") for name in missing],
        )


def check_additions(
    before: Preference, after: Preference, topics: PolicyTopics | None, *, are_confirmed: bool = False
) -> None:
    """Check the opt-outs and consent that an edit adds. `are_confirmed`: whoever made it has asked for the consents
    that must be confirmed, and granted none of them. Raises UnknownTopic, OptOutNotAllowed, MissingConsentProof,
    ConfirmationNeeded.
    """
    for index, entry in enumerate(after.opt_outs):
        if entry not in before.opt_outs:
            check_opt_out(entry, f"/opt_outs/{index}", topics)
    for index, record in enumerate(after.consent):
        if record not in before.consent:
            _check_consent(record, f"/consent/{index}", topics, are_confirmed)


def _check_consent(record: Consent, pointer: str, topics: PolicyTopics | None, is_confirmed: bool) -> None:
    if record.topic != ALL_TOPICS:
        check_topic(record.topic, f"{pointer}/topic", topics)
    if missing := find_unproven(consent_document(record)):
        raise MissingConsentProof(
            "consent needs proof: where it was given (`source`), on which words (`wording`), and a known legal `basis`",
            errors=[Problem(f"{pointer}/{name}", code, detail) for name, code, detail in missing],
        )
    if not is_confirmed and must_be_confirmed(record, topics):
        detail = (
            f"the policy lets consent to `{record.topic}` on `{record.channel}` count once the customer has confirmed "
            "it: ask for it by POST .../consents/requests, or say by `requested` when the customer asked, if they have "
            "confirmed it elsewhere"
        )
        raise ConfirmationNeeded(detail, errors=[Problem(f"{pointer}/requested", "missing", detail)])


def check_opt_out(entry: OptOut, pointer: str, topics: PolicyTopics | None) -> None:
    """Raise UnknownTopic or OptOutNotAllowed for an opt-out that would have no effect."""
    if entry.cls == Class.TRANSACTIONAL:
        detail = "transactional messages cannot be switched off; `service` and `marketing` can"
        raise OptOutNotAllowed(detail, errors=[Problem(f"{pointer}/class", "cannot_switch_off", detail)])
    if entry.topic is None:
        return
    check_topic(entry.topic, f"{pointer}/topic", topics)
    if topics is not None and any(topic.required and topic.key == entry.topic for topic in topics.topics):
        detail = f"the topic `{entry.topic}` is required: it can only be left by switching off a whole channel"
        raise OptOutNotAllowed(detail, errors=[Problem(f"{pointer}/topic", "cannot_switch_off", detail)])


def check_topic(topic: str, pointer: str, topics: PolicyTopics | None) -> None:
    """Raise UnknownTopic for a topic that the active policy does not have."""
    if topics is None or any(known.key == topic for known in topics.topics):
        return
    known = [each.key for each in topics.topics]
    listed = ", ".join(f"`{key}`" for key in known[:MAX_LISTED_TOPICS])
    more = f" and {len(known) - MAX_LISTED_TOPICS} more" if len(known) > MAX_LISTED_TOPICS else ""
    detail = f"unknown topic `{topic}`{did_you_mean(topic, known)}; the topics are {listed}{more}"
    raise UnknownTopic(detail, errors=[Problem(pointer, "unknown_topic", detail)])
