"""Declaration of the rule `opt_out`."""

from collections.abc import Callable
from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import NON_TRANSACTIONAL, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import channel_words

ID: Final = "opt_out"
OPTED_OUT_ALL: Final = "opted_out_all"
OPTED_OUT_CLASS: Final = "opted_out_class"
OPTED_OUT_CHANNEL: Final = "opted_out_channel"
OPTED_OUT_TOPIC: Final = "opted_out_topic"
PAUSED: Final = "paused"


def _explain_class(verdict: Verdict) -> str:
    return f"the customer opted out of {_class_words(verdict)}"


def _class_words(verdict: Verdict) -> str:
    """`marketing messages`, or `marketing messages about the topic news on SMS`."""
    channel, topic = verdict.evidence.get("channel"), verdict.evidence.get("topic")
    about = f" about the topic {topic}" if topic else ""
    return f"{verdict.evidence.get('class')} messages{about}{f' on {channel_words(channel)}' if channel else ''}"


def _explain_channel(verdict: Verdict) -> str:
    return f"the customer opted out of {channel_words(verdict.evidence.get('channel'))}"


def _explain_topic(verdict: Verdict) -> str:
    return f"the customer opted out of {_topic_words(verdict)}"


def _topic_words(verdict: Verdict) -> str:
    """`the topic news`, or `the topic news on SMS` where the customer switched it off on one channel."""
    channel = verdict.evidence.get("channel")
    return f"the topic {verdict.evidence.get('topic')}{f' on {channel_words(channel)}' if channel else ''}"


def _explain_pause(verdict: Verdict) -> str:
    return f"the customer paused all messages until {verdict.evidence.get('paused_until')}"


def _opt_in(what: str) -> Callable[[Verdict], list[Remedy]]:
    """The remedy of an opt-out; `what` names the field of its evidence, or everything."""

    def remedies(verdict: Verdict) -> list[Remedy]:
        value = verdict.evidence.get(what)
        words = {
            "class": _class_words(verdict),
            "channel": channel_words(value),
            "topic": _topic_words(verdict),
        }.get(what, what)
        return [Remedy("the customer", f"opts in again to {words}")]

    return remedies


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
            remedies=_opt_in("messages"),
        ),
        ReasonDeclaration(
            code=OPTED_OUT_CLASS,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of this class",
            explain=_explain_class,
            remedies=_opt_in("class"),
        ),
        ReasonDeclaration(
            code=OPTED_OUT_CHANNEL,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of this channel",
            explain=_explain_channel,
            remedies=_opt_in("channel"),
        ),
        ReasonDeclaration(
            code=OPTED_OUT_TOPIC,
            outcomes=(Outcome.SUPPRESS,),
            title="Opted out of this topic",
            explain=_explain_topic,
            remedies=_opt_in("topic"),
        ),
        ReasonDeclaration(
            code=PAUSED,
            outcomes=(Outcome.SUPPRESS,),
            title="Paused by the customer",
            explain=_explain_pause,
            remedies=lambda _: [Remedy("the customer", "ends the pause")],
        ),
    ),
    audit_invariant="suppressed_sent",
    explain_allow=lambda _: "the customer has not opted out of it",
)
