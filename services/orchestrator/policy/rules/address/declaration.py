"""Declaration of the rule `address`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "address"
NO_ADDRESS: Final = "no_address"


def _explain_address(verdict: Verdict) -> str:
    evidence = verdict.evidence
    if evidence.get("unverified"):
        return f"the customer's address for {evidence.get('channel')} has to be verified"
    if evidence.get("unusable"):
        return f"the customer has no usable address for {evidence.get('channel')}: {_describe_unusable(verdict)}"
    return f"the customer has no address for {evidence.get('channel')}"


def _describe_unusable(verdict: Verdict) -> str:
    return f"{verdict.evidence['unusable']} unusable: {', '.join(verdict.evidence.get('problems', ()))}"


def _describe_passed_over(verdict: Verdict) -> str | None:
    return _describe_unusable(verdict) if verdict.evidence.get("unusable") else None


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=50,
    classes=ALL_CLASSES,
    refuses_when="there is no usable address; for marketing, no verified one",
    reasons=(
        ReasonDeclaration(
            code=NO_ADDRESS, outcomes=(Outcome.SUPPRESS,), title="No usable address", explain=_explain_address
        ),
    ),
    describe_evidence=_describe_passed_over,
)
