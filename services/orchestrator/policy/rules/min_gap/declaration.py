"""Declaration of the rule `min_gap`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import duration_words

ID: Final = "min_gap"
CAP_WINDOW: Final = "cap_window"


def _explain_min_gap(verdict: Verdict) -> str:
    gap = f" of {duration_words(verdict.evidence['gap'])}" if "gap" in verdict.evidence else ""
    return f"it would be closer to the contact on {verdict.evidence.get('contact')} than the gap {verdict.id}{gap}"


def _explain_allow(verdict: Verdict) -> str:
    if "gap" not in verdict.evidence:
        return "no gap applies" if verdict.id is None else "no other contact is too close"
    return f"no other contact within {duration_words(verdict.evidence['gap'])}"


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
    explain_allow=_explain_allow,
    audit_invariant="over_cap",
    sample={"min_gaps": [{"id": "breathing-space", "gap": "2h"}]},
)
