"""Declaration of the rule `suppression`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "suppression"
SUPPRESSION_LIST: Final = "suppression_list"


def _explain_suppression(verdict: Verdict) -> str:
    return f"the customer is on the do-not-contact list ({', '.join(verdict.evidence.get('reasons', ()))})"


def _describe_evidence(verdict: Verdict) -> str | None:
    if verdict.reason is None:
        return None
    return ", ".join(str(reason).replace("_", " ") for reason in verdict.evidence.get("reasons", ()))


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=60,
    classes=ALL_CLASSES,
    refuses_when="the do-not-contact list covers it",
    reasons=(
        ReasonDeclaration(
            code=SUPPRESSION_LIST,
            outcomes=(Outcome.SUPPRESS,),
            title="On the do-not-contact list",
            explain=_explain_suppression,
        ),
    ),
    audit_invariant="suppressed_sent",
    describe_evidence=_describe_evidence,
    evidence_labels={"reasons": None, "entries": None},
)
