"""Declaration of the rule `hold`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration, VerdictIds
from schemas.times import format_instant
from schemas.vocabulary import Outcome

ID: Final = "hold"
HOLD_DROP: Final = "hold_drop"
INCIDENT_HOLD: Final = "incident_hold"


def _explain_hold(verdict: Verdict) -> str:
    end = "has to be lifted" if verdict.until is None else f"ends on {format_instant(verdict.until)}"
    return f"the hold {verdict.id}, in force since {verdict.evidence.get('since')}, {end}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=100,
    classes=ALL_CLASSES,
    refuses_when="an operator's hold covers it",
    reasons=(
        ReasonDeclaration(
            code=HOLD_DROP, outcomes=(Outcome.SUPPRESS,), title="Stopped by a hold", explain=_explain_hold
        ),
        ReasonDeclaration(code=INCIDENT_HOLD, outcomes=(Outcome.DEFER,), title="On hold", explain=_explain_hold),
    ),
    step_title="On hold",
    verdict_ids=VerdictIds.HOLDS,
    may_park=True,
    audit_invariant="held_sent",
)
