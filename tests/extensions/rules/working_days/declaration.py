"""Declaration of the rule `working_days`."""

from typing import Final

from schemas.decision import Verdict
from schemas.fields import Document, Scope
from schemas.rule_registry import NON_TRANSACTIONAL, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "working_days"
REST_DAY: Final = "rest_day"


class WorkingDaysSettings(Document):
    """Which messages wait on Saturdays and Sundays, in the customer's time zone."""

    scope: Scope = Scope()


def _explain(verdict: Verdict) -> str:
    return f"it is {verdict.evidence.get('day')} for the customer, and such messages wait for a working day"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=134,
    classes=NON_TRANSACTIONAL,
    refuses_when="it is Saturday or Sunday for the customer",
    reasons=(
        ReasonDeclaration(
            code=REST_DAY,
            outcomes=(Outcome.DEFER,),
            title="Rest day",
            summarise=lambda verdict, _: f"No messages on {verdict.evidence.get('day')}",
            explain=_explain,
        ),
    ),
    step_title="Rest day",
    counts_as_cap=True,
    explain_allow=lambda _: "it is a working day for the customer",
    settings=WorkingDaysSettings,
    sample={"rules": {"working_days": {"scope": {"classes": ["marketing"]}}}},
)
