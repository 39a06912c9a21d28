"""Declaration of the rule `address`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "address"
NO_ADDRESS: Final = "no_address"


def _explain_address(verdict: Verdict) -> str:
    if verdict.evidence.get("unverified"):
        return f"the customer's address for {verdict.evidence.get('channel')} has to be verified"
    return f"the customer has no address for {verdict.evidence.get('channel')}"


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
)
