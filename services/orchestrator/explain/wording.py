"""Decisions in words: one place says what each reason means, for `why`, the console and support. Pure.

Instants are RFC 3339 in UTC. Nothing here names an address or a trait's value.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.decision import Decision, Verdict
from schemas.times import DAY, HOUR, MINUTE, SECOND, format_instant, parse_instant
from schemas.vocabulary import Outcome, Reason

SHORT: Mapping[Reason, str] = {
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
_ASKS = frozenset({"ask_feedback", "ask_review", "ask_referral"})
_SPANS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))


def sentence(decision: Decision) -> str:
    """Why a message is or is not sent, with the values that decided."""
    if decision.outcome == Outcome.SEND:
        return "Nothing speaks against it: the message may be sent now."
    if decision.reason == Reason.OTHER_CHANNEL:
        return f"It is not sent on {decision.channel}, because another channel of the campaign was chosen."
    verdict = decisive(decision)
    because = obstacle(verdict) if verdict else _later(decision)
    subject = "An ask" if decision.intent in _ASKS else "The message"
    earliest = decision.until if decision.outcome == Outcome.DEFER else decision.allowed_from
    match decision.outcome:
        case Outcome.FAIL:
            return f"{subject} failed: {because}."
        case Outcome.DEFER if earliest is not None:
            return f"{subject} waits until {format_instant(earliest)}: {because}."
        case Outcome.DEFER:
            return f"{subject} waits: {because}."
    if earliest is not None:
        return f"{subject} is not allowed before {format_instant(earliest)}: {because}."
    return f"{subject} is not allowed: {because}."


def decisive(decision: Decision) -> Verdict | None:
    """The verdict that gave the decision its reason; None when a later jump did, or none is kept."""
    for verdict in decision.verdicts:
        if verdict.verdict != "allow" and (verdict.reason, verdict.id) == (decision.reason, decision.rule_id):
            return verdict
    return None


def obstacle(verdict: Verdict) -> str:
    """What one verdict that does not allow found, and where there is a way, what has to change."""
    reason = Reason(verdict.reason) if verdict.reason else Reason.POLICY_UNAVAILABLE
    words = _WORDS.get(reason)
    return words(verdict, verdict.evidence) if words else SHORT[reason].lower()


def span_in_words(span: int) -> str:
    """`30 days`, `2 hours`, `1 minute`: the largest unit that divides the span; in microseconds."""
    for unit, name in _SPANS:
        if span % unit == 0 and span >= unit:
            count = span // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{span / SECOND:g} seconds"


def _later(decision: Decision) -> str:
    short = SHORT[Reason(decision.reason)].lower()
    if not decision.jumps:
        return short
    return f"{short} on {format_instant(decision.jumps[-1].at)}, the earliest instant at which the other rules allow it"


def _history(verdict: Verdict, seen: Mapping[str, Any]) -> str:
    rule = f"the rule {verdict.id}"
    if "situation" not in seen:
        contact = parse_instant(seen["contact"])
        return f"there was a contact on {seen['contact']} and {rule} keeps {_kept(verdict, contact)}"
    what = f"the {str(seen['situation']).replace('_', ' ')}"
    if seen.get("closed"):
        return f"{what} closed on {seen['closed']} and {rule} keeps {_kept(verdict, parse_instant(seen['closed']))}"
    if verdict.until is None:
        return f"{what} opened on {seen['opened']} must be closed first ({rule})"
    return f"{what} opened on {seen['opened']} and {rule} keeps {_kept(verdict, parse_instant(seen['opened']))}"


def _kept(verdict: Verdict, since: int) -> str:
    if verdict.until is None or verdict.until <= since:
        return "its distance"
    return span_in_words(verdict.until - since)


def _campaign(_: Verdict, seen: Mapping[str, Any]) -> str:
    if seen.get("start"):
        return f"the campaign starts on {seen['start']}"
    if seen.get("end"):
        return f"the campaign ended on {seen['end']}"
    return "the campaign is not active; it has to be activated"


def _reentry(_: Verdict, seen: Mapping[str, Any]) -> str:
    if seen.get("reentry") == "once":
        return f"the customer had this campaign on {seen.get('last')}, and it comes only once"
    return f"the customer had this campaign before, and it comes at most {seen.get('reentry')}"


def _address(_: Verdict, seen: Mapping[str, Any]) -> str:
    if seen.get("unverified"):
        return f"the customer's address for {seen.get('channel')} has to be verified"
    return f"the customer has no address for {seen.get('channel')}"


def _consent(_: Verdict, seen: Mapping[str, Any]) -> str:
    if seen.get("expired_at"):
        return f"the consent expired on {seen['expired_at']}; it has to be given again"
    if seen.get("status"):
        return f"consent was {seen['status']} on {seen['at']}; it has to be granted"
    return "there is no record of consent for this channel and topic; it has to be granted"


def _hold(verdict: Verdict, seen: Mapping[str, Any]) -> str:
    end = f" until {format_instant(verdict.until)}" if verdict.until is not None else ", until it is lifted"
    return f"the hold {verdict.id} stands since {seen.get('since')}{end}"


def _cap(verdict: Verdict, seen: Mapping[str, Any]) -> str:
    if "contact" in seen:
        return f"it would be too close to the contact on {seen['contact']} (the rule {verdict.id})"
    return f"the cap {verdict.id} allows {seen.get('limit')}, and they are used up"


_WORDS: Mapping[Reason, Callable[[Verdict, Mapping[str, Any]], str]] = {
    Reason.CAMPAIGN_INACTIVE: _campaign,
    Reason.NOT_IN_AUDIENCE: lambda _, seen: f"the audience condition is false: {seen.get('condition')}",
    Reason.DUPLICATE: _reentry,
    Reason.EXPIRED: lambda _, seen: f"it expired on {seen.get('expires_at')}",
    Reason.NO_ADDRESS: _address,
    Reason.SUPPRESSION_LIST: lambda _, seen: (
        f"the customer is on the do-not-contact list ({', '.join(seen.get('reasons', ()))})"
    ),
    Reason.NO_CONSENT: _consent,
    Reason.OPTED_OUT_ALL: lambda *_: "the customer opted out of everything",
    Reason.OPTED_OUT_CLASS: lambda _, seen: f"the customer opted out of {seen.get('class')} messages",
    Reason.OPTED_OUT_CHANNEL: lambda _, seen: f"the customer opted out of {seen.get('channel')}",
    Reason.OPTED_OUT_TOPIC: lambda _, seen: f"the customer opted out of the topic {seen.get('topic')}",
    Reason.PAUSED: lambda _, seen: f"the customer paused all messages until {seen.get('paused_until')}",
    Reason.CONTACT_HISTORY: _history,
    Reason.INCIDENT_HOLD: _hold,
    Reason.HOLD_DROP: _hold,
    Reason.CAP_WINDOW: _cap,
    Reason.FREQUENCY_CAP: _cap,
    Reason.LOWER_PRIORITY: lambda verdict, seen: (
        f"the cap {verdict.id} went to {seen.get('lost_to')}, which is more important"
    ),
    Reason.QUIET_HOURS: lambda verdict, _: f"it is quiet then for the customer (the rule {verdict.id})",
    Reason.HOLDOUT: lambda _, seen: f"the customer is in the control group of the {_group(seen)}",
    Reason.CHANNEL_NOT_CONFIGURED: lambda _, seen: f"no adapter serves {seen.get('channel')}",
    Reason.POLICY_UNAVAILABLE: lambda verdict, _: f"the rule {verdict.id or verdict.rule} could not be judged",
}


def _group(seen: Mapping[str, Any]) -> str:
    return "campaign" if seen.get("group") == "campaign" else "whole organisation"
