"""Declaration of the rule `campaign`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "campaign"
CAMPAIGN_INACTIVE: Final = "campaign_inactive"


def _explain_campaign(verdict: Verdict) -> str:
    if "start" in verdict.evidence:
        return f"the campaign starts on {verdict.evidence['start']}"
    if "end" in verdict.evidence:
        return f"the campaign ended on {verdict.evidence['end']}"
    return "the campaign is not active; it has to be activated"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=10,
    classes=ALL_CLASSES,
    refuses_when="it is not active, or outside `start` and `end`",
    reasons=(
        ReasonDeclaration(
            code=CAMPAIGN_INACTIVE,
            outcomes=(Outcome.SUPPRESS,),
            title="The campaign is not active",
            explain=_explain_campaign,
        ),
    ),
    reports_trigger_failures=True,
)
