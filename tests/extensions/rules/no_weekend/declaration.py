"""Declaration of the rule `no_weekend`."""

from typing import Final

from schemas.decision import Verdict
from schemas.fields import Document, Scope
from schemas.rule_registry import NON_TRANSACTIONAL, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "no_weekend"
WEEKEND: Final = "weekend"


class NoWeekendSettings(Document):
    """Which messages wait on Saturdays and Sundays, in the customer's time zone."""

    scope: Scope = Scope()


def _explain(verdict: Verdict) -> str:
    return f"it is {verdict.evidence.get('day')} for the customer, and such messages wait for a working day"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=135,
    classes=NON_TRANSACTIONAL,
    refuses_when="it is Saturday or Sunday for the customer",
    reasons=(
        ReasonDeclaration(
            code=WEEKEND,
            outcomes=(Outcome.DEFER,),
            title="Weekend",
            summarise=lambda verdict, _: f"No messages on {verdict.evidence.get('day')}",
            explain=_explain,
        ),
    ),
    step_title="Weekend",
    counts_as_cap=True,
    settings=NoWeekendSettings,
    sample={"rules": {"no_weekend": {"scope": {"classes": ["marketing"]}}}},
)
