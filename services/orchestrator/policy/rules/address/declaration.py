"""Declaration of the rule `address`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome
from schemas.words import channel_words, count, join_words

ID: Final = "address"
NO_ADDRESS: Final = "no_address"


def _explain_address(verdict: Verdict) -> str:
    evidence, channel = verdict.evidence, channel_words(verdict.evidence.get("channel"))
    if unverified := evidence.get("unverified"):
        addresses = "the address" if unverified == 1 else f"none of the {unverified} addresses"
        return f"{addresses} of the customer for {channel} is {'not ' if unverified == 1 else ''}verified"
    if evidence.get("unusable"):
        return f"the customer has no usable address for {channel} ({_describe_unusable(verdict)})"
    return f"the customer has no address for {channel}"


def _describe_unusable(verdict: Verdict) -> str:
    problems = join_words(map(str, verdict.evidence.get("problems", ()))) or "unusable"
    return f"{count(verdict.evidence['unusable'], 'address', 'addresses')} passed over: {problems}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    channel = channel_words(verdict.evidence.get("channel"))
    if verdict.evidence.get("unverified"):
        return [Remedy("the customer", f"verifies an address for {channel}")]
    another = "another address" if verdict.evidence.get("unusable") else "an address"
    return [Remedy("the customer", f"gives {another} for {channel}")]


def _explain_allow(verdict: Verdict) -> str:
    """`verified address`; decisions of earlier versions do not tell which kind it was."""
    verified = verdict.evidence.get("verified")
    if verdict.evidence.get("needed") is False:
        return "the channel needs no address"
    found = "there is an address" if verified is None else f"{'' if verified else 'un'}verified address"
    passed_over = f"; {_describe_unusable(verdict)}" if verdict.evidence.get("unusable") else ""
    return f"{found}{passed_over}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=50,
    classes=ALL_CLASSES,
    refuses_when="there is no usable address; for marketing, no verified one",
    reasons=(
        ReasonDeclaration(
            code=NO_ADDRESS,
            outcomes=(Outcome.SUPPRESS,),
            title="No usable address",
            explain=_explain_address,
            remedies=_remedies,
        ),
    ),
    explain_allow=_explain_allow,
)
