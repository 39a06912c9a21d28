"""Declaration of the rule `channel`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, ReasonRole, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import channel_words

ID: Final = "channel"
CHANNEL_NOT_CONFIGURED: Final = "channel_not_configured"


def _explain_channel(verdict: Verdict) -> str:
    return f"no adapter is set up for {channel_words(verdict.evidence.get('channel'))}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    return [Remedy("whoever runs Tactful", f"sets up an adapter for {channel_words(verdict.evidence.get('channel'))}")]


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
            remedies=_remedies,
            role=ReasonRole.NO_ADAPTER,
        ),
    ),
    explain_allow=lambda _: "an adapter is set up for the channel",
)
