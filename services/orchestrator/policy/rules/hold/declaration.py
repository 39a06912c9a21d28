"""Declaration of the rule `hold`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration, VerdictIds
from schemas.times import format_instant
from schemas.vocabulary import Outcome

ID: Final = "hold"
HOLD_DROP: Final = "hold_drop"
INCIDENT_HOLD: Final = "incident_hold"


def _explain_hold(verdict: Verdict) -> str:
    end = "until it is lifted" if verdict.until is None else f"until {format_instant(verdict.until)}"
    return f"the hold {verdict.id} is in force, since {verdict.evidence.get('since')} and {end}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    return [Remedy("an operator", f"lifts the hold {verdict.id}")]


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=100,
    classes=ALL_CLASSES,
    refuses_when="an operator's hold covers it",
    reasons=(
        ReasonDeclaration(
            code=HOLD_DROP,
            outcomes=(Outcome.SUPPRESS,),
            title="Stopped by a hold",
            explain=_explain_hold,
            remedies=_remedies,
        ),
        ReasonDeclaration(
            code=INCIDENT_HOLD, outcomes=(Outcome.DEFER,), title="On hold", explain=_explain_hold, remedies=_remedies
        ),
    ),
    explain_allow=lambda _: "no hold covers it",
    step_title="On hold",
    verdict_ids=VerdictIds.HOLDS,
    may_park=True,
    audit_invariant="held_sent",
)
