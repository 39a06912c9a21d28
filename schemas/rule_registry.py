"""The policy rules of this installation: what every process must know about each of them, as data.

A rule is a folder in `services/orchestrator/policy/rules/` (docs/extending.md). Its module `declaration` describes it
by the types below; its module `rule` evaluates it and is imported only by processes that evaluate policies. A
declaration may import the standard library, pydantic, and from `schemas` the modules `condition_words`, `decision`,
`fields`, `times`, `vocabulary`, `words` and this one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from schemas.decision import Verdict
from schemas.extensions import ExtensionRegistry
from schemas.vocabulary import Class, Outcome

ALL_CLASSES: Final = frozenset(cls.value for cls in Class)
NON_TRANSACTIONAL: Final = frozenset({Class.SERVICE.value, Class.MARKETING.value})


class VerdictIds(Enum):
    """What the field `id` of a rule's verdicts refers to."""

    POLICY_ENTRIES = "entries of the policy document, or nothing"
    """`shadow` in the policy may name them: their verdicts are recorded and decide nothing."""
    HOLDS = "keys of holds"
    """Messages that wait for a hold's end are released when the hold is lifted."""


class ReasonRole(Enum):
    """A meaning of a reason that code outside the rule acts on."""

    EXPIRED = "the message came too late"
    """A deferred message that ends so is counted in `deferred_expired_total`."""
    NO_ADAPTER = "no adapter serves the channel"
    """A replay reads from it which channels had an adapter at the time."""


class Remedy(NamedTuple):
    """Something that somebody can do so that a refusal ends: `an operator`, `lifts the hold outage-7`."""

    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.who} {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonDeclaration:
    """One reason code. Two rules may share a code if they give it the same title."""

    code: str
    outcomes: tuple[Outcome, ...]
    """The outcomes that decisions with this reason may have; `decisions_total` has a series for each."""
    title: str
    """A few words for marketers that hold for every decision with this reason; unique among the reasons."""
    summarise: Callable[[Verdict, str], str] | None = None
    """The title of one verdict, with its values, for a message of the given intent; the title where absent."""
    explain: Callable[[Verdict], str] | None = None
    """Why the verdict refuses: a clause after a colon, without a full stop; the title where absent.

    It is for people: no ids but those that people have given, instants in RFC 3339 (they are shown on a wall clock),
    and it must not fail on the evidence of older decisions.
    """
    remedies: Callable[[Verdict], Sequence[Remedy]] | None = None
    """What somebody can do about it, apart from waiting until the verdict's `until`; nothing where absent."""
    role: ReasonRole | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDeclaration:
    """One rule."""

    id: str
    order: int
    """Its place in the evaluation; smaller comes first. Of several denials the first gives the decision its reason."""
    classes: frozenset[str]
    """The classes of messages that it applies to; it allows all others without being called."""
    refuses_when: str
    """Its row in the table of docs/policy.md."""
    reasons: tuple[ReasonDeclaration, ...]
    step_title: str = ""
    """A few words for one step of a plan in the console; the id if absent."""
    verdict_ids: VerdictIds = VerdictIds.POLICY_ENTRIES
    may_park: bool = False
    """Whether it may defer without an instant. Its module then has `list_wait_causes`: what the message waits for."""
    refuses_for_situations: bool = False
    """Whether it refuses because of situations. Its module then has `list_situation_refusals`."""
    counts_as_cap: bool = False
    """Whether decisions with one of its reasons count in `cap_hits_total`."""
    reports_trigger_failures: bool = False
    """Whether a trigger condition that cannot be evaluated is reported as a failure of this rule; exactly one does."""
    needs_full_recheck: bool = False
    """Whether its verdict may change within one minute of the clock although facts and contacts do not.

    While there is such a rule, no recheck takes the shortcut of `policy/recheck.py`.
    """
    audit_invariant: str | None = None
    """The value of the label `invariant` under which the auditor counts messages sent against this rule.

    None where the recorded facts do not suffice to evaluate the rule again.
    """
    explain_allow: Callable[[Verdict], str] | None = None
    """Why a verdict allows, with what it saw: a clause without a full stop, such as `consent was given on ...`."""
    explain_failure: Callable[[Verdict], str | None] | None = None
    """Why the rule could not be evaluated, as a clause; None where the evidence does not show it."""
    failure_remedies: Callable[[Verdict], Sequence[Remedy]] | None = None
    """What somebody can do so that the rule can be evaluated."""
    settings: type[BaseModel] | None = None
    """The model of its settings, `rules.<id>` in the policy document; None if it has none there."""
    sample: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a policy document that configure it, as an example; empty if it needs no configuration."""

    @property
    def may_defer(self) -> bool:
        """Whether any of its reasons can make a message wait."""
        return any(Outcome.DEFER in reason.outcomes for reason in self.reasons)


RULE_REGISTRY: Final = ExtensionRegistry(RuleDeclaration, "services.orchestrator.policy.rules")
