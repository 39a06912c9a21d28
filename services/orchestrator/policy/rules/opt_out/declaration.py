"""Declaration of the rule `opt_out`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import NON_TRANSACTIONAL, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "opt_out"
OPTED_OUT_ALL: Final = "opted_out_all"
OPTED_OUT_CLASS: Final = "opted_out_class"
OPTED_OUT_CHANNEL: Final = "opted_out_channel"
OPTED_OUT_TOPIC: Final = "opted_out_topic"
PAUSED: Final = "paused"


def _explain_class(verdict: Verdict) -> str:
    return f"the customer opted out of {verdict.evidence.get('class')} messages"


def _explain_channel(verdict: Verdict) -> str:
    return f"the customer opted out of {verdict.evidence.get('channel')}"


def _explain_topic(verdict: Verdict) -> str:
    return f"the customer opted out of the topic {verdict.evidence.get('topic')}"


def _explain_pause(verdict: Verdict) -> str:
    return f"the customer paused all messages until {verdict.evidence.get('paused_until')}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=80,
    classes=NON_TRANSACTIONAL,
    refuses_when="the customer switched it off (service, marketing)",
    reasons=(
        ReasonDeclaration(
            code=OPTED_OUT_ALL,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of everything",
            explain=lambda _: "the customer opted out of everything",
        ),
        ReasonDeclaration(
            code=OPTED_OUT_CLASS,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of this class",
            explain=_explain_class,
        ),
        ReasonDeclaration(
            code=OPTED_OUT_CHANNEL,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of this channel",
            explain=_explain_channel,
        ),
        ReasonDeclaration(
            code=OPTED_OUT_TOPIC,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of this topic",
            explain=_explain_topic,
        ),
        ReasonDeclaration(
            code=PAUSED, outcomes=(Outcome.SUPPRESS,), title="Paused by the customer", explain=_explain_pause
        ),
    ),
    audit_invariant="suppressed_sent",
    evidence_labels={"paused_until": "paused until"},
)
