"""Double opt-in: a consent is asked for, a message asks the customer to confirm it, and only then it is granted.

Asking leaves a row, and an event in the log that a campaign of the company answers; nothing else is sent, since the
consent stays not granted. Everything is decided under the lock of the customer's state: two who ask make one request,
and two who confirm grant once. The link in the message is made when it is rendered, of the request's id, so neither the
event nor the decision holds anything that confirms.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.consent_evidence import GRANTED
from schemas.facts import Consent, ConsentEvidence, OptOut, Preference
from schemas.link_tokens import LinkToken
from schemas.own_events import CONSENT_REQUESTED
from schemas.times import Instant, format_instant
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS, Class
from services.erasure.erased_customers import CustomerErased, ErasedCustomers
from services.kit.bus.protocol import Bus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database, Tx
from services.kit.errors import Problem
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.consents import request_store
from services.preference.consents.change_origin import ChangeOrigin
from services.preference.consents.double_opt_in import lift_opt_outs
from services.preference.consents.request_store import ConsentRequest, RequestProof
from services.preference.editor import check_topic
from services.preference.metrics import PreferenceMetrics
from services.preference.preference_errors import CannotAskForConsent
from services.preference.preference_state import PreferenceState, set_fields
from services.preference.request_publisher import RequestEvent, RequestPublisher, encode_request_event

EVENT_SOURCE: Final = "/tactful/consents"
CONFIRMATION: Final = "confirmation"
"""The source of a change that a customer made by the link in the message."""
MAX_CONSENTS: Final = 1000
"""As many as a customer's document may have."""


class ConfirmationOutcome(StrEnum):
    """What became of a link that somebody used."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    ALREADY = "already"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What became of a link, and the request, unless nobody knows it. `stopped`: the customer has an opt-out that
    forbids what was confirmed all the same.
    """

    outcome: ConfirmationOutcome
    request: ConsentRequest | None = None
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class ConsentQuestion:
    """What somebody asks to be confirmed."""

    channel: str
    topic: str
    proof: RequestProof


class ConsentRequests:
    """Takes requests, publishes their events, and confirms them."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        events_topic: str,
        clock: Clock,
        signature: SenderSignature,
        metrics: PreferenceMetrics,
        region: str | None,
        erased: ErasedCustomers,
    ) -> None:
        """`region`: the organisation's country."""
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._region = region
        self._erased = erased
        self.publisher = RequestPublisher(
            database, bus, events_topic, signature, ConsentRequestTable(), "consent_requests"
        )

    async def ask(self, customer: str, question: ConsentQuestion) -> tuple[ConsentRequest, bool]:
        """The request, and whether it is a new one: within its week a second one is the same.

        Raises UnknownTopic, CannotAskForConsent, CustomerErased.
        """
        now = self._clock.now()
        async with self._database.write() as tx:
            state = await self._lock(tx, customer)
            check_topic(question.topic, "/topic", await store.get_topics(tx))
            _check_reachable(state.preference, question.channel)
            waiting = await request_store.find_waiting(tx, customer, question.channel, question.topic, now)
            if waiting is not None:
                return waiting, False
            fields = (customer, question.channel, question.topic, now, now + request_store.VALID_FOR)
            request = ConsentRequest(secrets.token_urlsafe(16), *fields, question.proof)
            await request_store.insert_request(tx, request)
        await self.publisher.publish_soon([request])
        return request, True

    async def find_asked(self, link: LinkToken) -> Confirmation:
        """What a link would confirm. Changes nothing."""
        async with self._database.read() as tx:
            request = await request_store.get_request(tx, link.consent_request or "", link.customer)
        return _judge(request, self._clock.now())

    async def confirm(self, link: LinkToken, origin: ChangeOrigin) -> Confirmation:
        """Grants what the link confirms, once. Of an erased customer nothing is known any more."""
        now = self._clock.now()
        try:
            async with self._database.write() as tx:
                state = await self._lock(tx, link.customer)
                request = await request_store.get_request(tx, link.consent_request or "", link.customer)
                found = _judge(request, now)
                if request is None or found.outcome is not ConfirmationOutcome.WAITING:
                    return found
                after = grant(state, request, ConsentEvidence(None, origin.network, origin.agent), now)
                cause = store.ChangeCause(CONFIRMATION, at=now, recorded=now, **origin._asdict())
                await store.save_updates(tx, [store.StateUpdate(state, after, cause)])
                await request_store.mark_confirmed(tx, request.id, now)
        except CustomerErased:
            return Confirmation(ConfirmationOutcome.UNKNOWN)
        self._metrics.changes(CONFIRMATION, "changed").inc()
        stopped = forbids(after.preference.opt_outs, request.channel, request.topic)
        return Confirmation(ConfirmationOutcome.CONFIRMED, request, stopped)

    async def _lock(self, tx: Tx, customer: str) -> PreferenceState:
        state = (await store.lock_states(tx, [customer], self._region, self._erased)).get(customer)
        if state is None:
            raise CustomerErased
        return state


class ConsentRequestTable:
    """The table of these requests, and their events."""

    list_unpublished = staticmethod(request_store.list_unpublished)
    mark_published = staticmethod(request_store.mark_published)

    def encode_event(self, request: ConsentRequest) -> RequestEvent:
        """The event of a request. It holds no address and nothing that confirms."""
        data = {"request": request.id, "channel": request.channel, "topic": request.topic}
        data["expires"] = format_instant(request.expires)
        return encode_request_event(
            request.id, request.customer, EVENT_SOURCE, CONSENT_REQUESTED, request.requested, data
        )


def grant(
    state: PreferenceState, request: ConsentRequest, confirmation: ConsentEvidence, now: Instant
) -> PreferenceState:
    """The state in which the customer has consented to what was asked, with both instants and both evidences.

    The customer asks for this topic on this channel, so an opt-out from just that ends.
    """
    record = Consent(
        request.channel,
        request.topic,
        GRANTED,
        now,
        source=request.proof.source,
        wording=request.proof.wording,
        basis="consent",
        evidence=request.proof.evidence,
        requested=request.requested,
        confirmation=confirmation,
    )
    known = state.preference
    fields: dict[str, object] = {"consent": (*_with_room(known.consent, record), record)}
    opt_outs = lift_opt_outs(known.opt_outs, request.channel, request.topic)
    if opt_outs != known.opt_outs:
        fields["opt_outs"] = opt_outs
    return set_fields(state, fields, now)


def _with_room(records: tuple[Consent, ...], record: Consent) -> tuple[Consent, ...]:
    """The records that stay: at the limit, those that the new one supersedes go. The history keeps them."""
    if len(records) < MAX_CONSENTS:
        return records
    return tuple(each for each in records if (each.channel, each.topic) != (record.channel, record.topic))


def forbids(opt_outs: Collection[OptOut], channel: str, topic: str) -> bool:
    """Whether an opt-out forbids advertising on this topic and channel."""
    return any(
        entry.all
        or entry.cls == Class.MARKETING
        or (
            entry.cls is None
            and entry.channel in (None, channel)
            and entry.topic in (None, topic)
            and (entry.channel is not None or entry.topic is not None)
        )
        for entry in opt_outs
    )


def _judge(request: ConsentRequest | None, now: Instant) -> Confirmation:
    if request is None:
        return Confirmation(ConfirmationOutcome.UNKNOWN)
    if request.confirmed is not None:
        return Confirmation(ConfirmationOutcome.ALREADY, request)
    return Confirmation(ConfirmationOutcome.WAITING if now < request.expires else ConfirmationOutcome.EXPIRED, request)


def _check_reachable(preference: Preference, channel: str) -> None:
    """Raises CannotAskForConsent where no message could reach the customer on the channel."""
    if channel in CHANNELS_WITHOUT_ADDRESS or any(
        each.channel == channel and each.problem is None for each in preference.addresses
    ):
        return
    detail = f"the customer has no usable address on `{channel}` to confirm from: give one first (`addresses`)"
    raise CannotAskForConsent(detail, errors=[Problem("/channel", "no_address", detail)])
