"""What the end of an attempt means for the message."""

import pytest

from schemas.message import HandoverFault, HandoverOutcome, HandoverResult
from schemas.reasons import Reason
from schemas.times import SECOND
from schemas.vocabulary import MessageState
from services.orchestrator.delivery.attempts import (
    MAX_ATTEMPTS,
    NOT_TRIED,
    AttemptResult,
    backoff,
    decide_next_state,
    may_repeat,
)

NOW = 1_000 * SECOND
ACCEPTED, REJECTED, RETRY = MessageState.ACCEPTED, MessageState.REJECTED, MessageState.RETRY
UNKNOWN, FAILED = MessageState.UNKNOWN, MessageState.FAILED


def result(
    outcome: HandoverOutcome,
    *,
    number: int = 1,
    idempotent: bool = True,
    detail: str | None = None,
    fault: HandoverFault | None = None,
) -> AttemptResult:
    answer = HandoverResult("msg_" + "0" * 32, outcome, detail=detail, fault=fault)
    return AttemptResult("c-1", number, answer, idempotent, "webhook")


@pytest.mark.parametrize(
    ("given", "state", "contact", "failed"),
    [
        (result("accepted"), ACCEPTED, "made", None),
        (result("accepted", idempotent=False), ACCEPTED, "made", None),
        (result("rejected"), REJECTED, None, Reason.PROVIDER_REJECTED),
        # the provider says that it did not take it: the slot is free until the next try
        (result("retry"), RETRY, "planned", None),
        # bytes were written: the contact counts on, whoever dedupes is asked again
        (result("unknown"), RETRY, "unknown", None),
        (result("unknown", idempotent=False), UNKNOWN, "unknown", None),
        (result("retry", number=MAX_ATTEMPTS), FAILED, None, Reason.PROVIDER_EXHAUSTED),
        (result("unknown", number=MAX_ATTEMPTS), UNKNOWN, "unknown", None),
        # nobody asked the provider: that is no try of it
        *((result("retry", number=MAX_ATTEMPTS + 5, detail=why), RETRY, "planned", None) for why in NOT_TRIED),
        (result("retry", number=MAX_ATTEMPTS, detail="no_replies_known"), RETRY, "planned", None),
        # a refused key or a full quota says nothing of the message: it waits until somebody mends it, or it expires
        (result("retry", number=MAX_ATTEMPTS + 5, fault="account"), RETRY, "planned", None),
        (result("retry", number=MAX_ATTEMPTS + 5, fault="throttle"), RETRY, "planned", None),
        (result("retry", number=MAX_ATTEMPTS, fault="content"), FAILED, None, Reason.PROVIDER_EXHAUSTED),
    ],
)
def test_an_end_decides_about_message_and_contact(
    given: AttemptResult, state: MessageState, contact: str | None, failed: Reason | None
) -> None:
    following = decide_next_state(given, NOW)
    assert (following.state, following.contact, following.failure_reason) == (state, contact, failed)
    assert (following.until is not None) == (state is RETRY)


@pytest.mark.parametrize(
    ("number", "retry_after", "seconds"),
    [(1, None, 2), (2, None, 4), (5, None, 32), (20, None, 600), (1, 7.5, 7.5), (9, 3600.0, 3600), (1, 0.0, 0)],
)
def test_what_a_provider_asks_for_goes_before_doubling(number: int, retry_after: float | None, seconds: float) -> None:
    waits = [backoff(number, retry_after, f"msg_{each}") for each in range(200)]
    assert int(seconds * SECOND) <= min(waits) and max(waits) <= seconds * SECOND * 1.25
    assert waits == [backoff(number, retry_after, f"msg_{each}") for each in range(200)]
    if seconds:
        assert len(set(waits)) > 50  # what failed together does not come back together


@pytest.mark.parametrize(
    ("idempotent", "cls", "most", "maybe_sent", "repeats"),
    [
        (True, "marketing", 0, False, True),
        (True, "marketing", 0, True, True),
        (False, "marketing", 0, False, False),
        (False, "marketing", 1, False, False),
        (False, "service", 1, False, False),
        (False, "transactional", 0, False, False),
        (False, "transactional", 1, False, True),
        (False, "transactional", 1, True, False),
    ],
)
def test_where_nobody_recognises_a_message_only_a_transactional_one_is_sent_once_more(
    idempotent: bool, cls: str, most: int, maybe_sent: bool, repeats: bool
) -> None:
    assert may_repeat(idempotent, cls, most, maybe_sent=maybe_sent) is repeats
