"""The rules, in the order of the table in docs/reference/policy.md: of several denials the first gives the reason.

A rule is a module: its name, its reasons, the classes it applies to at all, and `judge`. A new rule is one file here
and one line in `RULES`.
"""

from collections.abc import Set
from typing import Protocol

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules import (
    address,
    arbitration,
    audience,
    campaign,
    channel,
    consent,
    contact_history,
    expiry,
    frequency_cap,
    hold,
    holdout,
    min_gap,
    opt_out,
    quiet_hours,
    reentry,
    suppression,
)


class Rule(Protocol):
    """What a rule's module offers. `judge` is pure, and answers with at least one verdict."""

    @property
    def NAME(self) -> str: ...
    @property
    def REASONS(self) -> tuple[Reason, ...]: ...
    @property
    def CLASSES(self) -> Set[str]: ...
    def evaluate(self, candidate: Candidate, facts: Facts, t: Instant, /) -> tuple[Verdict, ...]: ...


RULES: tuple[Rule, ...] = (
    campaign,
    audience,
    reentry,
    expiry,
    address,
    suppression,
    consent,
    opt_out,
    contact_history,
    hold,
    frequency_cap,
    min_gap,
    quiet_hours,
    arbitration,
    holdout,
    channel,
)
