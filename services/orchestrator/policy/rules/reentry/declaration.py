"""Declaration of the rule `reentry`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "reentry"
DUPLICATE: Final = "duplicate"


def _explain_reentry(verdict: Verdict) -> str:
    if verdict.evidence.get("reentry") == "once":
        return f"the customer received this campaign on {verdict.evidence.get('last')}, and it is sent only once"
    return f"the customer received this campaign before, and it is sent at most {verdict.evidence.get('reentry')}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=30,
    classes=ALL_CLASSES,
    refuses_when="the customer has had it already, according to `reentry`",
    reasons=(
        ReasonDeclaration(
            code=DUPLICATE,
            outcomes=(Outcome.SUPPRESS,),
            title="Already received this campaign",
            explain=_explain_reentry,
        ),
    ),
    evidence_labels={"near": None},
)
