"""Finds rules that can never decide anything because another rule refuses whenever they do, as strictly.

Each test is pointwise: whenever the inner rule refuses an instant for a message, the outer one refuses it too, for any
contacts, including those reported by other tools.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from services.orchestrator.campaigns.lint.week_minutes import quiet_minutes
from services.orchestrator.policy.compiled_policy import Cap, Gap, HistoryRule
from services.orchestrator.policy.quiet_windows import QuietWindow
from services.orchestrator.policy.scope import CompiledScope

_ENCLOSING_PERIODS = {"day": ("day", "week", "month"), "week": ("week",), "month": ("month",)}
"""Calendar periods that contain others: a week and a month contain a day."""


class RuleEntry(Protocol):
    """An entry of the policy."""

    @property
    def id(self) -> str: ...


InnerRule = TypeVar("InnerRule", bound=RuleEntry)
OuterRule = TypeVar("OuterRule", bound=RuleEntry)


def find_covering_rule(
    rule: InnerRule,
    index: int,
    others: Sequence[OuterRule],
    shadow: frozenset[str],
    is_covered: Callable[[InnerRule, OuterRule], bool],
    covers: Callable[[OuterRule, InnerRule], bool] | None = None,
) -> OuterRule | None:  # fmt: skip
    """Returns the rule that makes this one redundant; of two equal ones, the later is redundant."""
    for other_index, other in enumerate(others):
        if (covers is not None and other_index == index) or other.id in shadow or not is_covered(rule, other):
            continue
        if covers is None or other_index < index or not covers(other, rule):
            return other
    return None


def is_scope_covered(inner: CompiledScope, outer: CompiledScope) -> bool:
    """Whether the outer scope covers everything the inner one covers."""
    return (
        inner.classes <= outer.classes
        and (outer.channels is None or (inner.channels is not None and inner.channels <= outer.channels))
        and all(_excludes_channel(inner, channel) for channel in outer.excluded_channels)
        and _is_subset(inner.topics, outer.topics)
        and _is_subset(inner.intents, outer.intents)
        and _is_subset(inner.campaigns, outer.campaigns)
    )


def is_cap_covered_by_cap(inner: Cap, outer: Cap) -> bool:
    """Whether the outer cap refuses whenever the inner one does."""
    if inner.drops and not outer.drops:
        return False
    return (
        is_scope_covered(inner.scope, outer.scope)
        and outer.limit <= inner.limit
        and _is_sibling_exclusion_covered(inner, outer)
        and _is_window_covered(inner, outer)
    )


def is_cap_covered_by_gap(inner: Cap, outer: Gap) -> bool:
    """Whether the gap refuses whenever the cap does: a cap refuses only within its window of a contact."""
    rolling = inner.rolling is not None and inner.rolling <= outer.gap
    return rolling and inner.excludes_siblings and not inner.drops and is_scope_covered(inner.scope, outer.scope)


def is_gap_covered_by_gap(inner: Gap, outer: Gap) -> bool:
    """Whether the outer gap refuses whenever the inner one does."""
    return inner.gap <= outer.gap and is_scope_covered(inner.scope, outer.scope)


def is_history_covered(inner: HistoryRule, outer: HistoryRule) -> bool:
    """Whether the outer rule refuses whenever the inner one does, and as strictly."""
    return (
        (outer.drops or not inner.drops) and is_history_condition_covered(inner, outer) and inner.within <= outer.within
    )


def is_history_condition_covered(inner: HistoryRule, outer: HistoryRule) -> bool:
    """Whether both look back at the same contacts or situation, for all messages of the inner rule."""
    if not is_scope_covered(inner.scope, outer.scope):
        return False
    if inner.contacts is not None:
        return outer.contacts is not None and is_scope_covered(inner.contacts, outer.contacts)
    return inner.situation == outer.situation and (outer.while_open or not inner.while_open)


def is_quiet_covered(inner: QuietWindow, outer: QuietWindow) -> bool:
    """Whether every minute of the inner quiet hours is within the outer ones."""
    return quiet_minutes(inner) & ~quiet_minutes(outer) == 0 and is_scope_covered(inner.scope, outer.scope)


def _is_subset(inner: frozenset[str] | None, outer: frozenset[str] | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)


def _excludes_channel(inner: CompiledScope, channel: str) -> bool:
    return channel in inner.excluded_channels or (inner.channels is not None and channel not in inner.channels)


def _is_sibling_exclusion_covered(inner: Cap, outer: Cap) -> bool:
    """Whether sibling handling lets the outer cap cover the inner one.

    A cap that excludes siblings refuses less than one that counts them. Two that exclude them do so alike: siblings
    differ only in their channel, and neither cap names channels.
    """
    return not outer.excludes_siblings or inner.excludes_siblings


def _is_window_covered(inner: Cap, outer: Cap) -> bool:
    """Whether every window of the inner cap that contains an instant lies within a window of the outer cap."""
    if outer.rolling is not None:
        return outer.rolling >= inner.look_back
    same_calendar = inner.rolling is None and inner.in_customer_zone == outer.in_customer_zone
    return same_calendar and outer.period in _ENCLOSING_PERIODS[inner.period]
