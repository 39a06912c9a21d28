"""Declaration of the rule `quiet_hours`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import some_of

ID: Final = "quiet_hours"
QUIET_HOURS: Final = "quiet_hours"
_CUSTOMERS_OWN: Final = "customer-quiet-hours"


def _explain_quiet_hours(verdict: Verdict) -> str:
    zones = verdict.evidence.get("zones") or ()
    where = f" in {some_of([str(zone) for zone in zones])}" if zones else ""
    if verdict.id == _CUSTOMERS_OWN:
        return f"it falls into the quiet hours that the customer chose{where}"
    return f"it falls into the quiet hours {verdict.id}{where}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    return [Remedy("the customer", "changes their quiet hours")] if verdict.id == _CUSTOMERS_OWN else []


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=130,
    classes=ALL_CLASSES,
    refuses_when="it is a quiet hour for the customer",
    reasons=(
        ReasonDeclaration(
            code=QUIET_HOURS,
            outcomes=(Outcome.DEFER,),
            title="Quiet hours",
            explain=_explain_quiet_hours,
            remedies=_remedies,
        ),
    ),
    audit_invariant="in_quiet_hours",
    explain_allow=lambda verdict: "no quiet hours apply" if verdict.id is None else "it is outside the quiet hours",
    sample={"quiet_hours": [{"id": "night", "from": "21:00", "to": "08:00"}]},
)
