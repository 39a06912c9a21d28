"""Which rules can never decide anything, since another one refuses whenever they do, and as strictly.

Each test is pointwise: whenever the inner rule refuses an instant for a message, the outer one refuses it too, for
any contacts at all, those that other tools report included.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from services.orchestrator.campaigns.lint.week_minutes import minutes
from services.orchestrator.policy.compiled_policy import Cap, Gap, History
from services.orchestrator.policy.quiet_windows import Quiet
from services.orchestrator.policy.scope import Scope

_WITHIN = {"day": ("day", "week", "month"), "week": ("week",), "month": ("month",)}
"""Calendar periods that lie within others: a day within its week and its month."""


class Rule(Protocol):
    """An entry of the policy."""

    @property
    def id(self) -> str: ...


Inner = TypeVar("Inner", bound=Rule)
Outer = TypeVar("Outer", bound=Rule)


def outer(
    rule: Inner, place: int, others: Sequence[Outer], shadow: frozenset[str], implies: Callable[[Inner, Outer], bool],
    implied: Callable[[Outer, Inner], bool] | None = None,
) -> Outer | None:  # fmt: skip
    """The rule that makes this one idle. Of two that say the same, the later one is idle.

    `implied` is `implies` the other way round, for rules of the same kind.
    """
    for at, other in enumerate(others):
        if (implied is not None and at == place) or other.id in shadow or not implies(rule, other):
            continue
        if implied is None or at < place or not implied(other, rule):
            return other
    return None


def scope_within(inner: Scope, outer: Scope) -> bool:
    """Whether the outer scope covers all that the inner one covers."""
    return (
        inner.classes <= outer.classes
        and (outer.channels is None or (inner.channels is not None and inner.channels <= outer.channels))
        and (outer.without is None or inner.without == outer.without or _names_without(inner, outer.without))
        and _subset(inner.topics, outer.topics)
        and _subset(inner.intents, outer.intents)
        and _subset(inner.campaigns, outer.campaigns)
    )


def cap_by_cap(inner: Cap, outer: Cap) -> bool:
    """Whether the outer cap refuses whenever the inner one does."""
    if inner.drops and not outer.drops:
        return False
    return (
        scope_within(inner.scope, outer.scope)
        and outer.limit <= inner.limit
        and _touches_alike(inner, outer)
        and _window_within(inner, outer)
    )


def cap_by_gap(inner: Cap, outer: Gap) -> bool:
    """Whether the gap refuses whenever the cap does: a cap refuses only within its window of a contact."""
    rolling = inner.rolling is not None and inner.rolling <= outer.gap
    return rolling and inner.one_touch and not inner.drops and scope_within(inner.scope, outer.scope)


def gap_by_gap(inner: Gap, outer: Gap) -> bool:
    """Whether the outer gap refuses whenever the inner one does."""
    return inner.gap <= outer.gap and scope_within(inner.scope, outer.scope)


def history_by_history(inner: History, outer: History) -> bool:
    """Whether the outer rule refuses whenever the inner one does, and as strictly."""
    return (outer.drops or not inner.drops) and refuses_within(inner, outer) and inner.within <= outer.within


def refuses_within(inner: History, outer: History) -> bool:
    """Whether both look back at the same, for all messages of the inner one."""
    if not scope_within(inner.scope, outer.scope):
        return False
    if inner.contacts is not None:
        return outer.contacts is not None and scope_within(inner.contacts, outer.contacts)
    return inner.situation == outer.situation and (outer.while_open or not inner.while_open)


def quiet_by_quiet(inner: Quiet, outer: Quiet) -> bool:
    """Whether every minute of the inner hours lies in the outer ones."""
    return minutes(inner) & ~minutes(outer) == 0 and scope_within(inner.scope, outer.scope)


def _subset(inner: frozenset[str] | None, outer: frozenset[str] | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)


def _names_without(inner: Scope, channel: str) -> bool:
    return inner.channels is not None and channel not in inner.channels


def _touches_alike(inner: Cap, outer: Cap) -> bool:
    """A cap that leaves siblings out refuses less than one that counts them.

    Two that leave them out do so alike: siblings differ in their channel alone, and neither cap names channels.
    """
    return not outer.one_touch or inner.one_touch


def _window_within(inner: Cap, outer: Cap) -> bool:
    """Whether each window of the inner cap that holds an instant lies in a window of the outer one that does."""
    if outer.rolling is not None:
        return outer.rolling >= inner.span
    same_calendar = inner.rolling is None and inner.of_customer == outer.of_customer
    return same_calendar and outer.period in _WITHIN[inner.period]
