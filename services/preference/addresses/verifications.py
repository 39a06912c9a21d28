"""Verification of addresses by a message: asked for, sent to exactly that address, answered by its link or its code.

Asking leaves a row, and an event in the log that a campaign of the company answers; neither holds the address, nor what
verifies it: link and code are made when the message is rendered, of the request's id. Everything is decided under the
lock of the customer's state, so tries of codes are counted one after the other. A code works for 24 hours and for five
tries, a link for as long; a newer request ends the earlier ones for the address.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.facts import Address, Preference
from schemas.link_tokens import LinkKeys, LinkToken, is_verification_code
from schemas.own_events import ADDRESS_VERIFICATION_REQUESTED
from schemas.times import DAY, MINUTE, Instant, format_instant
from services.erasure.erased_customers import CustomerErased, ErasedCustomers
from services.kit.bus.protocol import Bus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.addresses import verification_store
from services.preference.addresses.address_book import AddressBook
from services.preference.addresses.address_list import AddressState, main_address, state_of, verify_address
from services.preference.addresses.verification_store import MAX_ATTEMPTS, AddressVerification
from services.preference.consents.change_origin import ChangeOrigin
from services.preference.consents.consent_requests import CONFIRMATION
from services.preference.metrics import PreferenceMetrics
from services.preference.preference_errors import AlreadyVerified, CannotVerify, TooManyVerifications
from services.preference.preference_state import PreferenceState, set_fields
from services.preference.request_publisher import RequestEvent, RequestPublisher, encode_request_event

EVENT_SOURCE: Final = "/tactful/addresses"
SEND_AGAIN_AFTER: Final = MINUTE
"""Within it, asking again is the same request: whoever presses twice gets one message."""
MAX_REQUESTS_A_DAY: Final = 10
"""For one customer: nobody uses our messages to fill strangers' mailboxes, or to try codes without end."""


class VerificationOutcome(StrEnum):
    """What became of a code or a link."""

    WAITING = "waiting"
    VERIFIED = "verified"
    ALREADY = "already"
    WRONG = "wrong"
    SPENT = "spent"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VerificationAnswer:
    """What became of a code or a link. `address`: as it is now; `left`: how many more codes may be tried."""

    outcome: VerificationOutcome
    address: Address | None = None
    left: int = 0
    former: int = 0
    """How many addresses have become former ones."""
    is_main: bool = False
    """Whether messages go to it now."""


class VerificationTable:
    """The table of these requests, and their events."""

    list_unpublished = staticmethod(verification_store.list_unpublished)
    mark_published = staticmethod(verification_store.mark_published)

    def encode_event(self, request: AddressVerification) -> RequestEvent:
        """The event of a request. It holds no address and nothing that verifies it."""
        data = {"request": request.id, "address": request.address, "channel": request.channel}
        data["expires"] = format_instant(request.expires)
        return encode_request_event(
            request.id, request.customer, EVENT_SOURCE, ADDRESS_VERIFICATION_REQUESTED, request.requested, data
        )


class AddressVerifications:
    """Takes requests and answers to them. `keys` sign links and make codes. `region`: the organisation's country."""

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
        book: AddressBook,
        keys: LinkKeys,
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._region = region
        self._erased = erased
        self._book = book
        self._keys = keys
        self.publisher = RequestPublisher(
            database, bus, events_topic, signature, VerificationTable(), "address_verifications"
        )

    async def ask(self, customer: str, address_id: str) -> tuple[AddressVerification, bool]:
        """The request, and whether it is a new one.

        Raises NotFound, AlreadyVerified, CannotVerify, TooManyVerifications, CustomerErased.
        """
        now = self._clock.now()
        async with self._database.write() as tx:
            state = await self._lock(tx, customer)
            address = self._book.find_by_id(state.preference, address_id)
            _check_open(address)
            last = await verification_store.find_newest(tx, customer, address_id)
            if last is not None and last.attempts < MAX_ATTEMPTS and 0 <= now - last.requested < SEND_AGAIN_AFTER:
                return last, False
            if await verification_store.count_since(tx, customer, now - DAY) >= MAX_REQUESTS_A_DAY:
                detail = f"{MAX_REQUESTS_A_DAY} addresses of the customer were to be verified within 24 hours: wait"
                raise TooManyVerifications(detail, retry_after=3600)
            fields = (customer, address_id, address.channel, now, now + verification_store.VALID_FOR)
            asked = AddressVerification(secrets.token_urlsafe(16), *fields)
            await verification_store.insert_verification(tx, asked)
        await self.publisher.publish_soon([asked])
        return asked, True

    async def try_code(self, customer: str, address_id: str, code: str, origin: ChangeOrigin) -> VerificationAnswer:
        """Verify an address by the code of the last message. Raises NotFound, CustomerErased."""
        now = self._clock.now()
        async with self._database.write() as tx:
            state = await self._lock(tx, customer)
            address = self._book.find_by_id(state.preference, address_id)
            asked = await verification_store.find_newest(tx, customer, address_id)
            found = _judge(asked, address, now)
            if asked is None or found.outcome is not VerificationOutcome.WAITING:
                return found
            if asked.attempts >= MAX_ATTEMPTS:
                return VerificationAnswer(VerificationOutcome.SPENT, address)
            if not is_verification_code(self._keys, customer, asked.id, code):
                await verification_store.count_attempt(tx, asked.id)
                left = MAX_ATTEMPTS - asked.attempts - 1
                outcome = VerificationOutcome.WRONG if left else VerificationOutcome.SPENT
                return VerificationAnswer(outcome, address, left)
            answer = await self._verify(tx, state, address, asked, origin)
        self._metrics.changes(CONFIRMATION, "changed").inc()
        return answer

    async def find_asked(self, link: LinkToken) -> VerificationAnswer:
        """What a link would verify. Changes nothing."""
        async with self._database.read() as tx:
            state = (await store.get_states(tx, [link.customer], self._region)).get(link.customer)
            asked = await verification_store.get_verification(tx, link.address_request or "", link.customer)
        return _judge(asked, self._find(None if state is None else state.preference, asked), self._clock.now())

    async def follow(self, link: LinkToken, origin: ChangeOrigin) -> VerificationAnswer:
        """Verify what the link names, once. Of an erased customer nothing is known any more."""
        try:
            async with self._database.write() as tx:
                state = await self._lock(tx, link.customer)
                asked = await verification_store.get_verification(tx, link.address_request or "", link.customer)
                address = self._find(state.preference, asked)
                found = _judge(asked, address, self._clock.now())
                if asked is None or address is None or found.outcome is not VerificationOutcome.WAITING:
                    return found
                answer = await self._verify(tx, state, address, asked, origin)
        except CustomerErased:
            return VerificationAnswer(VerificationOutcome.UNKNOWN)
        self._metrics.changes(CONFIRMATION, "changed").inc()
        return answer

    def _find(self, preference: Preference | None, asked: AddressVerification | None) -> Address | None:
        if preference is None or asked is None:
            return None
        try:
            return self._book.find_by_id(preference, asked.address)
        except NotFound:
            return None

    async def _verify(
        self, tx: Tx, before: PreferenceState, address: Address, asked: AddressVerification, origin: ChangeOrigin
    ) -> VerificationAnswer:
        now, known = self._clock.now(), before.preference.addresses
        after = set_fields(before, {"addresses": verify_address(known, address, now)}, now)
        cause = store.ChangeCause(CONFIRMATION, at=now, recorded=now, **origin._asdict())
        await store.save_updates(tx, [store.StateUpdate(before, after, cause)])
        await verification_store.mark_verified(tx, asked.id, now)
        new = sum(each.former is not None for each in after.preference.addresses)
        former = new - sum(each.former is not None for each in known)
        verified = self._book.find_by_id(after.preference, asked.address)
        is_main = main_address(after.preference.addresses, verified.channel) == verified
        return VerificationAnswer(VerificationOutcome.VERIFIED, verified, former=former, is_main=is_main)

    async def _lock(self, tx: Tx, customer: str) -> PreferenceState:
        state = (await store.lock_states(tx, [customer], self._region, self._erased)).get(customer)
        if state is None:
            raise CustomerErased
        return state


def _check_open(address: Address) -> None:
    """Raises where there is nothing to verify."""
    match state_of(address):
        case AddressState.UNUSABLE:
            raise CannotVerify("no message can go to this address: remove it, and add it as it should be")
        case AddressState.VERIFIED:
            raise AlreadyVerified("this address is verified: there is nothing to do")
        case AddressState.FORMER:
            raise AlreadyVerified("another address has taken the place of this one: choose it first to use it again")


def _judge(asked: AddressVerification | None, address: Address | None, now: Instant) -> VerificationAnswer:
    if asked is None or address is None:
        return VerificationAnswer(VerificationOutcome.UNKNOWN, address)
    if asked.verified is not None or address.verified:
        return VerificationAnswer(VerificationOutcome.ALREADY, address)
    if now >= asked.expires:
        return VerificationAnswer(VerificationOutcome.EXPIRED, address)
    return VerificationAnswer(VerificationOutcome.WAITING, address, max(0, MAX_ATTEMPTS - asked.attempts))
