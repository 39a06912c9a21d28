"""What the end of an attempt means for its message and its contact. Pure.

An attempt is one try to hand a message over. It is open from its claim until its owner records the result, or until
recovery closes it for an owner that cannot. What was claimed together on one channel is one handover. An attempt is
open while its message is `handing_over` and its handover is not closed; a message that is `handing_over` when its
handover is closed was accepted. An attempt that ended in any other way is kept in a row of `attempt`, because the
message may be tried again.
"""

import zlib
from typing import NamedTuple

from schemas.message import HandoverResult
from schemas.reasons import Reason
from schemas.times import SECOND, Instant
from schemas.vocabulary import Class, MessageState
from services.orchestrator.policy.ledger import ContactState, Ledger

MAX_ATTEMPTS = 8
FIRST_BACKOFF = 2 * SECOND
MAX_BACKOFF = 600 * SECOND

PROVIDER_FAILS = "provider_fails"
"""Detail of messages that were not tried, because the first of their handover showed that the provider fails."""

NOT_TRIED = ("no_facts", "past_deadline", "no_replies_known", PROVIDER_FAILS)
"""Details of attempts that ended before the provider was asked: they are repeated until the message expires."""

OF_ALL_MESSAGES = ("account", "throttle")
"""Faults that say nothing of this message: it is tried again until it expires, so that a refused key loses none."""

MAYBE_SENT_DETAIL = "an earlier attempt may have arrived"
"""`detail` of a message that is retried after an attempt with an unknown outcome. The state is in `maybe_sent`."""

DISPATCHER_GONE = "the dispatcher is gone"
"""Detail of attempts that were closed for their owner: nobody knows how far they came."""


class OpenAttempt(NamedTuple):
    """An attempt that has not ended."""

    message_id: str
    customer: str
    channel: str
    number: int
    cls: str
    maybe_sent: bool
    adapter: str | None
    """None in handovers that an earlier version has opened."""


class AttemptEnd(NamedTuple):
    """How an attempt ended: what a row of `attempt` keeps."""

    message_id: str
    outcome: str
    detail: str | None = None


class AttemptResult(NamedTuple):
    """An adapter's answer for one attempt. `may_repeat`: whether it may be repeated after an unknown outcome.
    `search_at`: when its provider can first be asked whether it has the message; None if it cannot be asked.
    """

    customer: str
    number: int
    handover_result: HandoverResult
    may_repeat: bool
    adapter: str
    search_at: Instant | None = None

    @property
    def message_id(self) -> str:
        """The message that was handed over."""
        return self.handover_result.message_id

    @property
    def end(self) -> AttemptEnd:
        """How the attempt ended."""
        answer = self.handover_result
        return AttemptEnd(answer.message_id, answer.outcome, answer.detail)


class NextState(NamedTuple):
    """The next state of a message, and of its contact; None releases the contact. `until`: when it is tried again, or
    of an unknown one, when its provider is asked about it.
    """

    state: MessageState
    contact: ContactState | None
    until: Instant | None = None
    failure_reason: Reason | None = None

    @property
    def maybe_sent(self) -> bool:
        """Whether the message is tried again although an earlier attempt may have arrived."""
        return self.state is MessageState.RETRY and self.contact == "unknown"


_ACCEPTED = NextState(MessageState.ACCEPTED, "made")


def decide_next_state(result: AttemptResult, now: Instant) -> NextState:
    """What an attempt's result means for the message."""
    answer = result.handover_result
    if answer.outcome == "accepted":
        return _ACCEPTED
    if answer.outcome == "rejected":
        if answer.fault == "trial":  # nobody was asked, so nobody has rejected it
            return NextState(MessageState.FAILED, None, failure_reason=Reason.TRIAL_MODE)
        return NextState(MessageState.REJECTED, None, failure_reason=Reason.PROVIDER_REJECTED)
    unknown = answer.outcome == "unknown"
    if unknown and not result.may_repeat:
        return NextState(MessageState.UNKNOWN, "unknown", result.search_at)
    is_judged = answer.detail not in NOT_TRIED and answer.fault not in OF_ALL_MESSAGES
    if result.number >= MAX_ATTEMPTS and is_judged:
        if unknown:
            return NextState(MessageState.UNKNOWN, "unknown", result.search_at)
        return NextState(MessageState.FAILED, None, failure_reason=Reason.PROVIDER_EXHAUSTED)
    # After an unknown outcome the contact counts on as `unknown`: the message may have arrived.
    until = now + backoff(result.number, answer.retry_after, answer.message_id)
    return NextState(MessageState.RETRY, "unknown" if unknown else "planned", until)


def may_repeat(is_idempotent: bool, cls: str, max_duplicates: int, *, maybe_sent: bool) -> bool:
    """Whether an attempt may be repeated after an unknown outcome: always where the provider takes a message once,
    however often it is sent; elsewhere only a transactional message, once, and only if the settings allow it.

    `maybe_sent`: an earlier attempt has had an unknown outcome, too.
    """
    return is_idempotent or (cls == Class.TRANSACTIONAL and max_duplicates > 0 and not maybe_sent)


def backoff(number: int, retry_after: float | None, message_id: str) -> int:
    """Microseconds until the next attempt: what the provider asks for, else doubling from two seconds, and up to a
    quarter more, by the message's id, so that messages which failed together do not come back together.
    """
    wait = min(FIRST_BACKOFF << (number - 1), MAX_BACKOFF) if retry_after is None else int(retry_after * SECOND)
    return wait + wait * (zlib.crc32(f"{message_id} {number}".encode()) % 256) // 1024


def resolve_next_state(
    result: AttemptResult, now: Instant, *, was_open: bool, state: str, maybe_sent: bool
) -> NextState | None:
    """The message's next state, given what its row says now; None when the result changes nothing.

    Only the result of an open attempt counts (Rank/release-unchecked in docs/protocols). One that arrives late, or
    twice, may only turn `unknown` into `accepted`.
    """
    if was_open:
        return _keep_unknown(decide_next_state(result, now)) if maybe_sent else decide_next_state(result, now)
    late = result.handover_result.outcome == "accepted" and state == MessageState.UNKNOWN
    return _ACCEPTED if late else None


def resolve_absence(result: AttemptResult, now: Instant, state: str) -> NextState | None:
    """The next state of a message which its provider certainly has not had: it is tried again like one that was refused
    for now. None if it has become known meanwhile what became of it.
    """
    return decide_next_state(result, now) if state == MessageState.UNKNOWN else None


def _keep_unknown(next_state: NextState) -> NextState:
    """A message that an earlier attempt may have delivered never counts as one that was surely not sent. No provider is
    asked about it, because another one may have had the earlier attempt.
    """
    if next_state.state is MessageState.UNKNOWN:
        return next_state._replace(until=None)
    if next_state.contact is None:
        return next_state._replace(state=MessageState.UNKNOWN, contact="unknown", failure_reason=None)
    return next_state._replace(contact="unknown") if next_state.contact == "planned" else next_state


def update_ledger(ledger: Ledger, message_id: str, next_state: NextState) -> Ledger:
    """The ledger after an attempt: the contact in its next state, a planned one at the time of the next attempt."""
    if next_state.contact is None:
        return ledger.release(message_id)
    if next_state.contact == "planned" and next_state.until is not None:
        contact = ledger.find_contact(message_id)
        return ledger if contact is None else ledger.put_contact(contact._replace(state="planned", at=next_state.until))
    return ledger.set_contact_state(message_id, next_state.contact)
