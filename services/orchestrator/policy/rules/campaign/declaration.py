"""Declaration of the rule `campaign`."""

from typing import Final

from schemas.condition_words import condition_remedies, describe_condition_failure
from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "campaign"
CAMPAIGN_INACTIVE: Final = "campaign_inactive"


_STATUS: Final = {
    "draft": "the campaign is only a draft",
    "submitted": "the campaign waits for its approval",
    "approved": "the campaign is approved, but was never activated",
    "shadow": "the campaign is in shadow, where it sends nothing",
    "paused": "the campaign is paused",
    "stopped": "the campaign was stopped",
    "replaced": "this version of the campaign was replaced",
}
_STATUS_REMEDIES: Final = {
    "draft": [Remedy("a marketer", "submits the draft, and after its approval by somebody else it is activated")],
    "submitted": [Remedy("an approver", "approves the draft, and it is activated")],
    "approved": [Remedy("a marketer or an approver", "activates the campaign")],
    "shadow": [Remedy("a marketer or an approver", "activates the campaign")],
    "paused": [Remedy("a marketer or an approver", "activates the campaign again")],
    "stopped": [Remedy("a marketer", "registers a new version, and it is approved and activated")],
}


def _explain_campaign(verdict: Verdict) -> str:
    if "start" in verdict.evidence:
        return f"the campaign starts on {verdict.evidence['start']}"
    if "end" in verdict.evidence:
        return f"the campaign ended on {verdict.evidence['end']}"
    return _STATUS.get(str(verdict.evidence.get("status")), "the campaign is not active")


def _remedies(verdict: Verdict) -> list[Remedy]:
    if "start" in verdict.evidence:
        return [Remedy("a marketer", "moves the start of the campaign")]
    if "end" in verdict.evidence:
        return [Remedy("a marketer", "moves the end of the campaign")]
    activate = [Remedy("a marketer or an approver", "activates the campaign")]
    return _STATUS_REMEDIES.get(str(verdict.evidence.get("status")), activate)


def _explain_failure(verdict: Verdict) -> str | None:
    failure = describe_condition_failure(verdict.evidence)
    return None if failure is None else f"the condition of the trigger {failure}"


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
            remedies=_remedies,
        ),
    ),
    explain_allow=lambda _: "the campaign is active",
    explain_failure=_explain_failure,
    failure_remedies=lambda verdict: condition_remedies(verdict.evidence),
    reports_trigger_failures=True,
)
