"""Declaration of the rule `channel`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, ReasonRole, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "channel"
CHANNEL_NOT_CONFIGURED: Final = "channel_not_configured"


def _explain_channel(verdict: Verdict) -> str:
    return f"no adapter serves {verdict.evidence.get('channel')}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=160,
    classes=ALL_CLASSES,
    refuses_when="the channel has no adapter",
    reasons=(
        ReasonDeclaration(
            code=CHANNEL_NOT_CONFIGURED,
            outcomes=(Outcome.SUPPRESS,),
            title="The channel is not set up",
            explain=_explain_channel,
            role=ReasonRole.NO_ADAPTER,
        ),
    ),
)
