"""The closed list of reasons: why a decision came out as it did. Each rule declares its own; the rest is named here.

The list is complete once this module is imported, and the same for API, console, metrics, logs and JSON Schema.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from schemas.decision import Verdict
from schemas.extensions import ExtensionError
from schemas.rule_registry import RULE_REGISTRY, ReasonDeclaration, ReasonRole, Remedy
from schemas.vocabulary import Outcome
from schemas.words import channel_words, join_words

RULES: Final = tuple(RULE_REGISTRY.declarations)
"""The ids of all rules, in the order of evaluation."""
CHANNEL_CHOICE: Final = "channel_choice"
"""Stands in place of a rule where the choice among the channels of a campaign that falls back decides."""


def _declared_codes(*, only_defer: bool) -> list[str]:
    codes = [
        reason.code
        for rule in RULE_REGISTRY.declarations.values()
        for reason in rule.reasons
        if (reason.outcomes == (Outcome.DEFER,)) is only_defer
    ]
    return list(dict.fromkeys(reversed(codes) if only_defer else codes))


class Reason(StrEnum):
    """Why it was decided; every decision has exactly one.

    Code can name only the reasons that belong to no rule. In order: what is sent, deferred (the last rule first),
    suppressed (the first rule first), failed. JSON Schema and the console's filter list them so.
    """

    # `vars()` in the body of an enumeration is its namespace of members.
    _ignore_ = "declared_code later_code"
    ELIGIBLE = "eligible"
    for declared_code in _declared_codes(only_defer=True):
        vars()[declared_code.upper()] = declared_code
    PROVIDER_THROTTLE = "provider_throttle"
    SEND_TIME = "send_time"
    FALLBACK_WAIT = "fallback_wait"
    for later_code in _declared_codes(only_defer=False):
        vars()[later_code.upper()] = later_code
    OTHER_CHANNEL = "other_channel"
    RENDER_ERROR = "render_error"
    POLICY_UNAVAILABLE = "policy_unavailable"
    TRIAL_MODE = "trial_mode"
    PROVIDER_REJECTED = "provider_rejected"
    PROVIDER_EXHAUSTED = "provider_exhausted"


def _explain_failure(verdict: Verdict) -> str:
    rule = RULE_REGISTRY.declarations.get(verdict.rule)
    cause = None if rule is None or rule.explain_failure is None else rule.explain_failure(verdict)
    return cause or f"the rule {verdict.id or verdict.rule} could not be evaluated"


def _failure_remedies(verdict: Verdict) -> Sequence[Remedy]:
    rule = RULE_REGISTRY.declarations.get(verdict.rule)
    return () if rule is None or rule.failure_remedies is None else rule.failure_remedies(verdict)


def _explain_wait(verdict: Verdict) -> str:
    channels = join_words([channel_words(each) for each in verdict.evidence["waits_for"]], "or")
    return f"it is sent only if no delivery by {channels} is confirmed"


def _explain_other_channel(verdict: Verdict) -> str:
    confirmed = verdict.evidence.get("confirmed")
    return "another channel was chosen" if confirmed is None else f"delivery by {channel_words(confirmed)} is confirmed"


_CORE_REASONS: Final = (
    ReasonDeclaration(code=Reason.ELIGIBLE, outcomes=(Outcome.SEND,), title="All rules allow it"),
    # No decision has it: it is why a message waits that the rules allow (delivery/provider_waits.py).
    ReasonDeclaration(code=Reason.PROVIDER_THROTTLE, outcomes=(), title="Waits for its provider"),
    # No decision has it yet.
    ReasonDeclaration(code=Reason.SEND_TIME, outcomes=(), title="Waits for a better hour"),
    ReasonDeclaration(
        code=Reason.FALLBACK_WAIT,
        outcomes=(Outcome.DEFER,),
        title="Waits for another channel",
        explain=_explain_wait,
    ),
    ReasonDeclaration(
        code=Reason.OTHER_CHANNEL,
        outcomes=(Outcome.SUPPRESS,),
        title="Another channel was chosen",
        explain=_explain_other_channel,
    ),
    ReasonDeclaration(code=Reason.RENDER_ERROR, outcomes=(Outcome.FAIL,), title="The content could not be rendered"),
    ReasonDeclaration(
        code=Reason.POLICY_UNAVAILABLE,
        outcomes=(Outcome.FAIL,),
        title="A rule could not be evaluated",
        explain=_explain_failure,
        remedies=_failure_remedies,
    ),
    ReasonDeclaration(
        code=Reason.TRIAL_MODE,
        outcomes=(Outcome.FAIL,),
        title="The adapter is in trial mode, and the recipient is not on its list",
    ),
    ReasonDeclaration(code=Reason.PROVIDER_REJECTED, outcomes=(Outcome.FAIL,), title="Rejected by the provider"),
    ReasonDeclaration(code=Reason.PROVIDER_EXHAUSTED, outcomes=(Outcome.FAIL,), title="The provider failed too often"),
)


def _all_declarations() -> Iterator[tuple[str | None, ReasonDeclaration]]:
    """Every reason with the id of its rule; None for those that belong to no rule."""
    for reason in _CORE_REASONS:
        yield None, reason
    for rule in RULE_REGISTRY.declarations.values():
        for reason in rule.reasons:
            yield rule.id, reason


def _find_titles() -> Mapping[str, str]:
    titles: dict[str, str] = {}
    for rule, reason in _all_declarations():
        if titles.setdefault(reason.code, reason.title) != reason.title:
            raise ExtensionError(f"the rule {rule} gives the reason `{reason.code}` a second title")
        if rule is not None and not {*reason.outcomes} <= {Outcome.DEFER, Outcome.SUPPRESS}:
            raise ExtensionError(f"the reason `{reason.code}` of the rule {rule} can only defer or suppress")
    return {code: titles[code] for code in Reason}


TITLES: Final = _find_titles()
"""A few words for each reason."""
_BY_RULE_AND_CODE: Final = {(rule, reason.code): reason for rule, reason in _all_declarations()}


def find_declaration(verdict: Verdict) -> ReasonDeclaration | None:
    """What the verdict's rule declares about its reason; None for a rule or a reason that does not exist any more."""
    key = verdict.reason or Reason.POLICY_UNAVAILABLE.value
    return _BY_RULE_AND_CODE.get((verdict.rule, key)) or _BY_RULE_AND_CODE.get((None, key))


def reasons_with_outcome(outcome: Outcome) -> tuple[str, ...]:
    """The reasons that decisions with this outcome may have."""
    return tuple(dict.fromkeys(reason.code for _, reason in _all_declarations() if outcome in reason.outcomes))


def reasons_with_role(role: ReasonRole) -> frozenset[str]:
    """The reasons that mean this."""
    return frozenset(reason.code for _, reason in _all_declarations() if reason.role is role)
