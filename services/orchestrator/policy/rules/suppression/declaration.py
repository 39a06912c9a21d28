"""Declaration of the rule `suppression`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome, SuppressionReason
from schemas.words import join_words

ID: Final = "suppression"
SUPPRESSION_LIST: Final = "suppression_list"
UNDECIDED_REPLY: Final = "undecided_reply"


_REASONS: Final = {
    SuppressionReason.HARD_BOUNCE: "the address bounced",
    SuppressionReason.SOFT_BOUNCES: "messages to the address have bounced in a row",
    SuppressionReason.SPAM_COMPLAINT: "the customer reported spam",
    SuppressionReason.STOP_KEYWORD: "the customer told us to stop",
    SuppressionReason.UNDECIDED_REPLY: "the customer may have told us to stop",
    SuppressionReason.ERASED: "the customer was erased",
    SuppressionReason.LEGAL: "legal reasons",
    SuppressionReason.MANUAL: "put there by hand",
    SuppressionReason.IMPORTED: "imported from another system",
}
_FINAL: Final = frozenset({SuppressionReason.ERASED.value})


def _explain_suppression(verdict: Verdict) -> str:
    evidence = verdict.evidence
    whom = {"customer": "the customer is", "address": "every usable address of the customer is"}
    subject = whom.get(str(evidence.get("covers")), "the customer is")
    reasons = [_REASONS.get(reason, str(reason).replace("_", " ")) for reason in evidence.get("reasons", ())]
    return f"{subject} on the do-not-contact list" + (f" ({join_words(reasons)})" if reasons else "")


def _remedies(verdict: Verdict) -> list[Remedy]:
    if set(verdict.evidence.get("reasons", ())) & _FINAL:
        return []
    entries = "entry" if verdict.evidence.get("entries") == 1 else "entries"
    remove = Remedy("somebody with the role privacy", f"removes the {entries} from the do-not-contact list")
    if verdict.evidence.get("covers") != "address":
        return [remove]
    return [Remedy("the customer", "gives another address"), remove]


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=60,
    classes=ALL_CLASSES,
    refuses_when="the do-not-contact list covers it",
    reasons=(
        ReasonDeclaration(
            code=SUPPRESSION_LIST,
            outcomes=(Outcome.SUPPRESS,),
            title="On the do-not-contact list",
            explain=_explain_suppression,
            remedies=_remedies,
        ),
        ReasonDeclaration(
            code=UNDECIDED_REPLY,
            outcomes=(Outcome.DEFER,),
            title="A reply waits for a decision",
            explain=lambda _: "the customer's reply may mean that they want no messages, and nobody has decided yet",
            remedies=lambda _: [Remedy("somebody with the role agent or privacy", "decides what the reply means")],
        ),
    ),
    audit_invariant="suppressed_sent",
    may_park=True,
    explain_allow=lambda _: "the do-not-contact list has no entry for it",
)
