"""Constructors of verdicts. The verdict that allows without evidence is built once per rule and shared."""

from functools import lru_cache
from typing import Any, Final

from schemas.decision import Verdict
from schemas.evaluation_error import EvaluationError
from schemas.reasons import Reason
from schemas.times import Instant, format_instant

ALLOW: Final = "allow"
DEFER: Final = "defer"
DENY: Final = "deny"
FAIL: Final = "fail"


@lru_cache(maxsize=8192)
def allow(rule: str, id: str | None = None) -> Verdict:
    """The rule has no objection."""
    return Verdict(rule, id, ALLOW, None, None, {})


def allow_with(rule: str, **evidence: Any) -> Verdict:
    """The rule has no objection, and there is something to know."""
    return Verdict(rule, None, ALLOW, None, None, evidence)


def deny(rule: str, reason: str, id: str | None = None, *, until: Instant | None = None, **evidence: Any) -> Verdict:
    """The rule refuses. `until` is the instant from which it would allow, where that is known."""
    return Verdict(rule, id, DENY, until, reason, evidence)


def defer(rule: str, reason: str, id: str | None, until: Instant | None, **evidence: Any) -> Verdict:
    """The rule refuses until an instant. None parks the message: there is no instant to wait for."""
    return Verdict(rule, id, DEFER, until, reason, evidence)


def fail(rule: str, id: str | None = None, **evidence: Any) -> Verdict:
    """The rule could not be evaluated: the candidate fails closed."""
    return Verdict(rule, id, FAIL, None, Reason.POLICY_UNAVAILABLE.value, evidence)


def failure_evidence(error: Exception) -> dict[str, Any]:
    """What a verdict keeps of an error: what the error itself tells, else its type. Never a customer's value."""
    return error.evidence() if isinstance(error, EvaluationError) else {"error": type(error).__name__}


@lru_cache(maxsize=8192)
def instant_text(instant: Instant | None) -> str | None:
    """Formats an instant for evidence."""
    return None if instant is None else format_instant(instant)
