"""Declaration of the rule `holdout`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import NON_TRANSACTIONAL, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "holdout"
HOLDOUT: Final = "holdout"


def _explain_holdout(verdict: Verdict) -> str:
    group = "campaign" if verdict.evidence.get("group") == "campaign" else "whole organisation"
    percent = verdict.evidence.get("percent")
    share = f", {percent:g} percent of all customers" if isinstance(percent, int | float) else ""
    return f"the customer is in the control group of the {group}{share}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=150,
    classes=NON_TRANSACTIONAL,
    refuses_when="the customer is in a control group",
    reasons=(
        ReasonDeclaration(
            code=HOLDOUT, outcomes=(Outcome.SUPPRESS,), title="In the control group", explain=_explain_holdout
        ),
    ),
    explain_allow=lambda _: "the customer is in no control group",
    sample={"holdout": {"percent": 2, "salt": "2026"}},
)
