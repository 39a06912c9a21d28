"""Declaration of the rule `frequency_cap`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import count, duration_words

ID: Final = "frequency_cap"
FREQUENCY_CAP: Final = "frequency_cap"
CAP_WINDOW: Final = "cap_window"
_CUSTOMERS_OWN: Final = "customer-wish"
_PERIODS: Final = frozenset({"day", "week", "month"})


def _summarise(verdict: Verdict, _: str) -> str:
    """`Cap reached: 1 of 1`. The evidence counts all contacts looked at; those in the full window are the limit."""
    if "limit" not in verdict.evidence:
        return "Cap reached"
    return f"Cap reached: {verdict.evidence['limit']} of {verdict.evidence['limit']}"


def _explain_frequency_cap(verdict: Verdict) -> str:
    if "limit" not in verdict.evidence:
        return f"the cap {verdict.id} is reached"
    return f"the cap {verdict.id} allows {_limit_words(verdict)}, and it is reached"


def _explain_allow(verdict: Verdict) -> str:
    if "limit" not in verdict.evidence:
        return "no cap applies"
    if "lost_to" in verdict.evidence:
        return f"a more important message has the last place of the cap {verdict.id}"
    return f"the limit of {_limit_words(verdict)} is not reached"


def _limit_words(verdict: Verdict) -> str:
    """`2 contacts in any 24 hours`, `1 contact in a calendar week`; decisions of earlier versions lack the window."""
    per = verdict.evidence.get("per")
    any_span = "24 hours" if per == "1d" else duration_words(per)  # a day could be taken for one of the calendar
    window = "" if per is None else f" in a calendar {per}" if per in _PERIODS else f" in any {any_span}"
    return f"{count(verdict.evidence['limit'], 'contact')}{window}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    return [Remedy("the customer", "raises their own limit")] if verdict.id == _CUSTOMERS_OWN else []


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
            remedies=_remedies,
        ),
        ReasonDeclaration(
            code=CAP_WINDOW,
            outcomes=(Outcome.DEFER,),
            title="Too many contacts for now",
            summarise=_summarise,
            explain=_explain_frequency_cap,
            remedies=_remedies,
        ),
    ),
    step_title="Cap reached",
    counts_as_cap=True,
    audit_invariant="over_cap",
    explain_allow=_explain_allow,
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
