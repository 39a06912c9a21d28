"""Decisions in words: one place says what each reason means, for `why`, the console and support. Pure.

Instants are RFC 3339 in UTC. Nothing here names an address or a trait's value.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.decision import Decision, Verdict
from schemas.times import DAY, HOUR, MINUTE, SECOND, format_instant, parse_instant
from schemas.vocabulary import Outcome, Reason

REASON_TITLES: Mapping[Reason, str] = {
    Reason.ELIGIBLE: "May be sent",
    Reason.QUIET_HOURS: "Quiet hours",
    Reason.CAP_WINDOW: "Too many contacts now",
    Reason.INCIDENT_HOLD: "On hold",
    Reason.PROVIDER_THROTTLE: "The provider asks us to wait",
    Reason.SEND_TIME: "Waits for a better hour",
    Reason.FALLBACK_WAIT: "Waits for the first channel",
    Reason.CAMPAIGN_INACTIVE: "The campaign is not active",
    Reason.NOT_IN_AUDIENCE: "Not in the audience",
    Reason.DUPLICATE: "Had this campaign before",
    Reason.EXPIRED: "Too late",
    Reason.NO_ADDRESS: "No usable address",
    Reason.SUPPRESSION_LIST: "On the do-not-contact list",
    Reason.NO_CONSENT: "No consent",
    Reason.OPTED_OUT_ALL: "Opted out of everything",
    Reason.OPTED_OUT_CLASS: "Opted out of this class",
    Reason.OPTED_OUT_CHANNEL: "Opted out of this channel",
    Reason.OPTED_OUT_TOPIC: "Opted out of this topic",
    Reason.PAUSED: "Paused by the customer",
    Reason.CONTACT_HISTORY: "Not after what happened",
    Reason.HOLD_DROP: "Stopped by a hold",
    Reason.FREQUENCY_CAP: "Too many contacts",
    Reason.LOWER_PRIORITY: "Gave way to another message",
    Reason.HOLDOUT: "In the control group",
    Reason.CHANNEL_NOT_CONFIGURED: "The channel is not set up",
    Reason.OTHER_CHANNEL: "Another channel was chosen",
    Reason.RENDER_ERROR: "The content could not be rendered",
    Reason.POLICY_UNAVAILABLE: "A rule could not be judged",
    Reason.PROVIDER_REJECTED: "Rejected by the provider",
    Reason.PROVIDER_EXHAUSTED: "The provider failed too often",
}
_ASK_INTENTS = frozenset({"ask_feedback", "ask_review", "ask_referral"})
_DURATION_UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))


def explain_decision(decision: Decision) -> str:
    """Why a message is or is not sent, with the values that decided."""
    if decision.outcome == Outcome.SEND:
        return "Nothing speaks against it: the message may be sent now."
    if decision.reason == Reason.OTHER_CHANNEL:
        return f"It is not sent on {decision.channel}, because another channel of the campaign was chosen."
    verdict = decisive_verdict(decision)
    cause = explain_verdict(verdict) if verdict else _explain_without_verdict(decision)
    subject = "An ask" if decision.intent in _ASK_INTENTS else "The message"
    earliest = decision.until if decision.outcome == Outcome.DEFER else decision.allowed_from
    match decision.outcome:
        case Outcome.FAIL:
            return f"{subject} failed: {cause}."
        case Outcome.DEFER if earliest is not None:
            return f"{subject} waits until {format_instant(earliest)}: {cause}."
        case Outcome.DEFER:
            return f"{subject} waits: {cause}."
    if earliest is not None:
        return f"{subject} is not allowed before {format_instant(earliest)}: {cause}."
    return f"{subject} is not allowed: {cause}."


def decisive_verdict(decision: Decision) -> Verdict | None:
    """The verdict that gave the decision its reason; None when a later jump did, or none is kept."""
    for verdict in decision.verdicts:
        if verdict.verdict != "allow" and (verdict.reason, verdict.id) == (decision.reason, decision.rule_id):
            return verdict
    return None


def explain_verdict(verdict: Verdict) -> str:
    """What one verdict that does not allow found, and where there is a way, what has to change."""
    reason = Reason(verdict.reason) if verdict.reason else Reason.POLICY_UNAVAILABLE
    explainer = _EXPLAINERS.get(reason)
    return explainer(verdict, verdict.evidence) if explainer else REASON_TITLES[reason].lower()


def describe_duration(span: int) -> str:
    """`30 days`, `2 hours`, `1 minute`: the largest unit that divides the span; in microseconds."""
    for unit, name in _DURATION_UNITS:
        if span % unit == 0 and span >= unit:
            count = span // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{span / SECOND:g} seconds"


def _explain_without_verdict(decision: Decision) -> str:
    title = REASON_TITLES[Reason(decision.reason)].lower()
    if not decision.jumps:
        return title
    return f"{title} on {format_instant(decision.jumps[-1].at)}, the earliest instant at which the other rules allow it"


def _explain_history(verdict: Verdict, evidence: Mapping[str, Any]) -> str:
    rule = f"the rule {verdict.id}"
    if "situation" not in evidence:
        contact = parse_instant(evidence["contact"])
        return f"there was a contact on {evidence['contact']} and {rule} keeps {_required_distance(verdict, contact)}"
    situation = f"the {str(evidence['situation']).replace('_', ' ')}"
    if evidence.get("closed"):
        distance = _required_distance(verdict, parse_instant(evidence["closed"]))
        return f"{situation} closed on {evidence['closed']} and {rule} keeps {distance}"
    if verdict.until is None:
        return f"{situation} opened on {evidence['opened']} must be closed first ({rule})"
    distance = _required_distance(verdict, parse_instant(evidence["opened"]))
    return f"{situation} opened on {evidence['opened']} and {rule} keeps {distance}"


def _required_distance(verdict: Verdict, since: int) -> str:
    if verdict.until is None or verdict.until <= since:
        return "its distance"
    return describe_duration(verdict.until - since)


def _explain_campaign(_: Verdict, evidence: Mapping[str, Any]) -> str:
    if evidence.get("start"):
        return f"the campaign starts on {evidence['start']}"
    if evidence.get("end"):
        return f"the campaign ended on {evidence['end']}"
    return "the campaign is not active; it has to be activated"


def _explain_reentry(_: Verdict, evidence: Mapping[str, Any]) -> str:
    if evidence.get("reentry") == "once":
        return f"the customer had this campaign on {evidence.get('last')}, and it comes only once"
    return f"the customer had this campaign before, and it comes at most {evidence.get('reentry')}"


def _explain_address(_: Verdict, evidence: Mapping[str, Any]) -> str:
    if evidence.get("unverified"):
        return f"the customer's address for {evidence.get('channel')} has to be verified"
    return f"the customer has no address for {evidence.get('channel')}"


def _explain_consent(_: Verdict, evidence: Mapping[str, Any]) -> str:
    if evidence.get("expired_at"):
        return f"the consent expired on {evidence['expired_at']}; it has to be given again"
    if evidence.get("status"):
        return f"consent was {evidence['status']} on {evidence['at']}; it has to be granted"
    return "there is no record of consent for this channel and topic; it has to be granted"


def _explain_hold(verdict: Verdict, evidence: Mapping[str, Any]) -> str:
    end = f" until {format_instant(verdict.until)}" if verdict.until is not None else ", until it is lifted"
    return f"the hold {verdict.id} stands since {evidence.get('since')}{end}"


def _explain_cap(verdict: Verdict, evidence: Mapping[str, Any]) -> str:
    if "contact" in evidence:
        return f"it would be too close to the contact on {evidence['contact']} (the rule {verdict.id})"
    return f"the cap {verdict.id} allows {evidence.get('limit')}, and they are used up"


_EXPLAINERS: Mapping[Reason, Callable[[Verdict, Mapping[str, Any]], str]] = {
    Reason.CAMPAIGN_INACTIVE: _explain_campaign,
    Reason.NOT_IN_AUDIENCE: lambda _, evidence: f"the audience condition is false: {evidence.get('condition')}",
    Reason.DUPLICATE: _explain_reentry,
    Reason.EXPIRED: lambda _, evidence: f"it expired on {evidence.get('expires_at')}",
    Reason.NO_ADDRESS: _explain_address,
    Reason.SUPPRESSION_LIST: lambda _, evidence: (
        f"the customer is on the do-not-contact list ({', '.join(evidence.get('reasons', ()))})"
    ),
    Reason.NO_CONSENT: _explain_consent,
    Reason.OPTED_OUT_ALL: lambda *_: "the customer opted out of everything",
    Reason.OPTED_OUT_CLASS: lambda _, evidence: f"the customer opted out of {evidence.get('class')} messages",
    Reason.OPTED_OUT_CHANNEL: lambda _, evidence: f"the customer opted out of {evidence.get('channel')}",
    Reason.OPTED_OUT_TOPIC: lambda _, evidence: f"the customer opted out of the topic {evidence.get('topic')}",
    Reason.PAUSED: lambda _, evidence: f"the customer paused all messages until {evidence.get('paused_until')}",
    Reason.CONTACT_HISTORY: _explain_history,
    Reason.INCIDENT_HOLD: _explain_hold,
    Reason.HOLD_DROP: _explain_hold,
    Reason.CAP_WINDOW: _explain_cap,
    Reason.FREQUENCY_CAP: _explain_cap,
    Reason.LOWER_PRIORITY: lambda verdict, evidence: (
        f"the cap {verdict.id} went to {evidence.get('lost_to')}, which is more important"
    ),
    Reason.QUIET_HOURS: lambda verdict, _: f"it is quiet then for the customer (the rule {verdict.id})",
    Reason.HOLDOUT: lambda _, evidence: f"the customer is in the control group of the {_control_group_name(evidence)}",
    Reason.CHANNEL_NOT_CONFIGURED: lambda _, evidence: f"no adapter serves {evidence.get('channel')}",
    Reason.POLICY_UNAVAILABLE: lambda verdict, _: f"the rule {verdict.id or verdict.rule} could not be judged",
}


def _control_group_name(evidence: Mapping[str, Any]) -> str:
    return "campaign" if evidence.get("group") == "campaign" else "whole organisation"
