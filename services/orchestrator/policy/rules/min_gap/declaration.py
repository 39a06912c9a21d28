"""Declaration of the rule `min_gap`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "min_gap"
CAP_WINDOW: Final = "cap_window"


def _explain_min_gap(verdict: Verdict) -> str:
    return f"it would be too close to the contact on {verdict.evidence.get('contact')} (the rule {verdict.id})"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=120,
    classes=ALL_CLASSES,
    refuses_when="it is closer than the gap to another contact",
    reasons=(
        ReasonDeclaration(
            code=CAP_WINDOW,
            outcomes=(Outcome.DEFER,),
            title="Too many contacts for now",
            summarise=lambda *_: "Too close to another contact",
            explain=_explain_min_gap,
        ),
    ),
    step_title="Too close",
    counts_as_cap=True,
    audit_invariant="over_cap",
    sample={"min_gaps": [{"id": "breathing-space", "gap": "2h"}]},
)
