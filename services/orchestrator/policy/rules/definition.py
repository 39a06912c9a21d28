"""What a rule is: the protocol that the module `rule` of each rule's folder implements."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import CompiledScope


class HoldCause(NamedTuple):
    """A hold without an end that a parked message waits for."""

    key: str


class SituationCause(NamedTuple):
    """An open situation that a parked message waits for; it counts as closed at `lapses_at`."""

    kind: str
    ref: str
    lapses_at: Instant


WaitCause = HoldCause | SituationCause


class SituationRefusal(NamedTuple):
    """What one entry of the policy refuses because of situations. `situation`: their kind. `drops`: the messages of the
    scope are not sent at all; else they wait. `until`: None for as long as one is open.
    """

    entry: str
    situation: str
    scope: CompiledScope
    drops: bool
    until: Instant | None


class Rule(Protocol):
    """One rule."""

    def evaluate(self, candidate: Candidate, facts: Facts, t: Instant, /) -> tuple[Verdict, ...]:
        """At least one verdict on sending the candidate at `t`. Pure; a rule that raises fails closed."""
        ...


class ParkingRule(Rule, Protocol):
    """A rule that may defer without naming an instant (`may_park`)."""

    def list_wait_causes(
        self, verdict: Verdict, candidate: Candidate, facts: Facts, t: Instant, /
    ) -> Sequence[WaitCause]:
        """What a candidate waits for that this verdict parks at `t`."""
        ...


class SituationRule(Rule, Protocol):
    """A rule that refuses messages because of situations (`refuses_for_situations`)."""

    def list_situation_refusals(self, facts: Facts, t: Instant, /) -> Sequence[SituationRefusal]:
        """What the customer's situations make it refuse at `t`, whatever the message, in the order of the policy.
        Entries in shadow refuse nothing.
        """
        ...
