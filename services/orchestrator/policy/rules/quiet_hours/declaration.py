"""Declaration of the rule `quiet_hours`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "quiet_hours"
QUIET_HOURS: Final = "quiet_hours"


def _explain_quiet_hours(verdict: Verdict) -> str:
    return f"it falls into the customer's quiet hours (the rule {verdict.id})"


def _describe_evidence(verdict: Verdict) -> str | None:
    zones = verdict.evidence.get("zones")
    return None if zones is None else f"quiet hours in {', '.join(map(str, zones))}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=130,
    classes=ALL_CLASSES,
    refuses_when="it is a quiet hour for the customer",
    reasons=(
        ReasonDeclaration(
            code=QUIET_HOURS, outcomes=(Outcome.DEFER,), title="Quiet hours", explain=_explain_quiet_hours
        ),
    ),
    audit_invariant="in_quiet_hours",
    describe_evidence=_describe_evidence,
    evidence_labels={"zones": None},
    sample={"quiet_hours": [{"id": "night", "from": "21:00", "to": "08:00"}]},
)
