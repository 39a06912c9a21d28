"""Findings about a campaign, under the policy that is active."""

from collections.abc import Iterator

import schemas.campaign
import schemas.policy
from schemas.times import format_duration
from schemas.vocabulary import Class, Intent
from services.orchestrator.campaigns.lint import week_minutes
from services.orchestrator.campaigns.lint.finding import Finding
from services.orchestrator.policy.compiled_policy import Concern, Policy, compile_policy
from services.orchestrator.policy.scope import Kind

_MARKETING = frozenset({Intent.ADVERTISE, Intent.WIN_BACK})
"""Intents that are marketing by what they want; mixed content is marketing."""


def of_campaign(document: schemas.campaign.Campaign, active: schemas.policy.Policy | None) -> list[Finding]:
    """All findings. `active`: the policy in force; None while there is none."""
    found = [*_marketing_by_intent(document), *_holdout(document)]
    if active is None:
        return found
    policy = compile_policy(active, 0)
    for place, channel in enumerate(document.channels):
        kind = Kind(document.key, document.topic, channel.value, document.class_.value, document.intent.value)
        concern = _decides(policy.concern(kind), policy.shadow)
        found += _no_hour(concern, place, channel.value)
        found += _expires_waiting(document, concern, channel.value)
    found += _own_situation(document, policy)
    return list(dict.fromkeys(found))


def _decides(concern: Concern, shadow: frozenset[str]) -> Concern:
    """Without the rules that are only watched."""
    return Concern(
        tuple(rule for rule in concern.caps if rule.id not in shadow),
        tuple(rule for rule in concern.gaps if rule.id not in shadow),
        tuple(rule for rule in concern.histories if rule.id not in shadow),
        tuple(rule for rule in concern.quiet if rule.id not in shadow),
        concern.slots,
        concern.touchy,
    )


def _marketing_by_intent(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    if document.intent in _MARKETING and document.class_ is not Class.MARKETING:
        without = "" if document.topic else ", and without a `topic` customers cannot switch it off by what it is about"
        yield Finding(
            "/class",
            "marketing_without_consent",
            f"a message that wants to `{document.intent}` is marketing, whatever else it says; as "
            f"`{document.class_}` it is sent without consent{without}",
            "Make it `class: marketing` with a `topic`, or correct the `intent`.",
        )


def _holdout(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    if document.holdout == 100:
        yield Finding(
            "/holdout",
            "everybody_held_out",
            "all customers are in the control group, so it is sent to nobody",
            "Lower the percentage.",
        )


def _no_hour(concern: Concern, place: int, channel: str) -> Iterator[Finding]:
    if concern.quiet and week_minutes.united(concern.quiet) == week_minutes.ALL:
        names = ", ".join(f"`{rule.id}`" for rule in concern.quiet)
        yield Finding(
            f"/channels/{place}",
            "no_hour_left",
            f"the quiet hours of {names} leave it no hour of the week on {channel}",
            "Leave out the channel, or change the policy's quiet hours.",
        )


def _expires_waiting(document: schemas.campaign.Campaign, concern: Concern, channel: str) -> Iterator[Finding]:
    """A deferral that ends no earlier than the message does, when it begins as the event happens."""
    quiet = week_minutes.united(concern.quiet)
    if quiet != week_minutes.ALL and (span := week_minutes.longest(quiet)) >= document.ttl:
        names = ", ".join(f"`{rule.id}`" for rule in concern.quiet)
        yield _expires(document, f"quiet hours ({names}) last up to {format_duration(span)} on {channel}")
    for cap in concern.caps:
        if not cap.drops and cap.rolling is not None and cap.limit == 1 and cap.rolling >= document.ttl:
            yield _expires(document, f"the cap `{cap.id}` lets a message wait for up to {format_duration(cap.rolling)}")
    for gap in concern.gaps:
        if gap.gap >= document.ttl:
            yield _expires(document, f"the gap `{gap.id}` lets a message wait for up to {format_duration(gap.gap)}")
    for rule in concern.histories:
        if not rule.drops and rule.within >= document.ttl:
            yield _expires(
                document, f"the rule `{rule.id}` lets a message wait for {format_duration(rule.within)} and longer"
            )


def _expires(document: schemas.campaign.Campaign, why: str) -> Finding:
    return Finding(
        "/ttl",
        "expires_while_deferred",
        f"{why}, and the message expires {format_duration(document.ttl)} after its event",
        "Give it a longer `ttl`, or take the message out of the rule's scope.",
    )


def _own_situation(document: schemas.campaign.Campaign, policy: Policy) -> Iterator[Finding]:
    """The event that triggers it opens, whatever its data, a situation that stops it for as long as it is open."""
    opened = {
        kind.kind
        for kind in policy.document.situations
        if any(trigger.event == document.trigger.event and trigger.when is None for trigger in kind.opens)
    }
    rules: dict[str, set[str]] = {}
    for channel in document.channels:
        kind = Kind(document.key, document.topic, channel.value, document.class_.value, document.intent.value)
        for rule in _decides(policy.concern(kind), policy.shadow).histories:
            if rule.while_open and rule.situation in opened:
                rules.setdefault(rule.id, set()).add(channel.value)
    for id, channels in rules.items():
        rule = next(rule for rule in policy.histories if rule.id == id)
        yield Finding(
            "/trigger/event",
            "stopped_by_its_own_event",
            f"each `{document.trigger.event}` opens the situation `{rule.situation}`, and while that is open "
            f"`{id}` {'drops' if rule.drops else 'defers'} this message on {', '.join(sorted(channels))}",
            "Trigger it by another event, or change the rule's scope.",
        )
