"""Declaration of the rule `reentry`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import duration_words

ID: Final = "reentry"
DUPLICATE: Final = "duplicate"


def _explain_reentry(verdict: Verdict) -> str:
    if verdict.evidence.get("reentry") == "once":
        return f"the customer received this campaign on {verdict.evidence.get('last')}, and it is sent only once"
    near = verdict.evidence.get("near") or ()
    when = f" on {near[-1]}" if near else " before"
    return f"the customer received this campaign{when}, and it is sent at most {_interval(verdict)}"


def _explain_allow(verdict: Verdict) -> str:
    if "reentry" not in verdict.evidence:
        return "the campaign may be sent again for each event"
    if verdict.evidence["reentry"] == "once":
        return "the customer has not received this campaign before"
    return f"no message of this campaign in {_interval(verdict).removeprefix('once in ')}"


def _interval(verdict: Verdict) -> str:
    return f"once in {duration_words(str(verdict.evidence.get('reentry')).removeprefix('every '))}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=30,
    classes=ALL_CLASSES,
    refuses_when="the customer has had it already, according to `reentry`",
    reasons=(
        ReasonDeclaration(
            code=DUPLICATE,
            outcomes=(Outcome.SUPPRESS,),
            title="Already received this campaign",
            explain=_explain_reentry,
        ),
    ),
    explain_allow=_explain_allow,
)
