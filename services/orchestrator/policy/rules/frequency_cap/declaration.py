"""Declaration of the rule `frequency_cap`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "frequency_cap"
FREQUENCY_CAP: Final = "frequency_cap"
CAP_WINDOW: Final = "cap_window"


def _summarise(verdict: Verdict, _: str) -> str:
    """`Cap reached: 1 of 1`. The evidence counts all contacts looked at; those in the full window are the limit."""
    if "limit" not in verdict.evidence:
        return "Cap reached"
    return f"Cap reached: {verdict.evidence['limit']} of {verdict.evidence['limit']}"


def _explain_frequency_cap(verdict: Verdict) -> str:
    return f"the cap {verdict.id} allows {verdict.evidence.get('limit')}, and it is reached"


def _describe_evidence(verdict: Verdict) -> str | None:
    if "limit" not in verdict.evidence:
        return None
    return f"limit {verdict.evidence['limit']}, {verdict.evidence.get('counted', 0)} contacts looked at"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=110,
    classes=ALL_CLASSES,
    refuses_when="the window already has its n contacts",
    reasons=(
        ReasonDeclaration(
            code=FREQUENCY_CAP,
            outcomes=(Outcome.SUPPRESS,),
            title="Cap reached",
            summarise=_summarise,
            explain=_explain_frequency_cap,
        ),
        ReasonDeclaration(
            code=CAP_WINDOW,
            outcomes=(Outcome.DEFER,),
            title="Too many contacts for now",
            summarise=_summarise,
            explain=_explain_frequency_cap,
        ),
    ),
    step_title="Cap reached",
    counts_as_cap=True,
    audit_invariant="over_cap",
    describe_evidence=_describe_evidence,
    evidence_labels={"lost_to": None},
    sample={
        "frequency_caps": [
            {
                "id": "marketing-a-day",
                "scope": {"classes": ["marketing"]},
                "limit": 1,
                "window": {"calendar": "day", "zone": "customer"},
                "on_exceed": "defer",
            }
        ]
    },
)
