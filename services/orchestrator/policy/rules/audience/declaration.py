"""Declaration of the rule `audience`."""

from typing import Final

from schemas.condition_words import SENDER_OF_DATA, condition_remedies, describe_condition_failure
from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "audience"
NOT_IN_AUDIENCE: Final = "not_in_audience"


_MAX_CONDITION_LENGTH: Final = 200


def _explain_audience(verdict: Verdict) -> str:
    condition, missing = str(verdict.evidence.get("condition") or ""), verdict.evidence.get("missing")
    if len(condition) > _MAX_CONDITION_LENGTH:
        condition = f"{condition[:_MAX_CONDITION_LENGTH]} ..."
    if missing:
        return f"the customer is not in the audience, because `{missing}` has no value: {condition}"
    return f"the customer is not in the audience: {condition}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    missing = verdict.evidence.get("missing")
    edit = Remedy("a marketer", "changes the audience")
    return [Remedy(SENDER_OF_DATA, f"sends a value for `{missing}`"), edit] if missing else [edit]


def _explain_failure(verdict: Verdict) -> str | None:
    failure = describe_condition_failure(verdict.evidence)
    return None if failure is None else f"the audience {failure}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=20,
    classes=ALL_CLASSES,
    refuses_when="its condition is false",
    reasons=(
        ReasonDeclaration(
            code=NOT_IN_AUDIENCE,
            outcomes=(Outcome.SUPPRESS,),
            title="Not in the audience",
            explain=_explain_audience,
            remedies=_remedies,
        ),
    ),
    explain_allow=lambda _: "the customer is in the audience",
    explain_failure=_explain_failure,
    failure_remedies=lambda verdict: condition_remedies(verdict.evidence),
)
