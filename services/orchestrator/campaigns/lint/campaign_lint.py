"""Lint of a campaign under the active policy."""

from collections.abc import Iterator

import schemas.campaign
import schemas.policy
from schemas.finding import Finding, warning
from schemas.locales import parse_locale
from schemas.text import escape_pointer
from schemas.times import format_duration
from schemas.vocabulary import Class, Intent
from services.orchestrator.campaigns.lint import week_minutes
from services.orchestrator.campaigns.lint.consent_lint import confirmation_findings
from services.orchestrator.campaigns.lint.fallback_lint import fallback_findings
from services.orchestrator.policy.compiled_policy import ApplicablePolicy, CompiledPolicy, compile_policy
from services.orchestrator.policy.scope import MessageAttributes

_MARKETING_INTENTS = frozenset({Intent.ADVERTISE, Intent.WIN_BACK})
"""Intents that are marketing by their purpose; mixed content counts as marketing."""


def lint_campaign(document: schemas.campaign.Campaign, active: schemas.policy.Policy | None) -> list[Finding]:
    """Returns all findings. `active`: the active policy, or None."""
    findings = [
        *_marketing_intent_findings(document),
        *_holdout_findings(document),
        *fallback_findings(document),
        *confirmation_findings(document),
        *_locale_findings(document),
    ]
    if active is None:
        return findings
    policy = compile_policy(active, 0)
    for index, channel in enumerate(document.channels):
        attributes = MessageAttributes(
            document.key, document.topic, channel.value, document.class_.value, document.intent.value
        )
        applicable = _without_shadow_rules(policy.applicable_to(attributes), policy.shadow_ids)
        findings += _no_sending_hour_findings(applicable, index, channel.value)
        findings += _expiry_findings(document, applicable, channel.value)
    findings += _own_situation_findings(document, policy)
    return list(dict.fromkeys(findings))


def _without_shadow_rules(applicable: ApplicablePolicy, shadow: frozenset[str]) -> ApplicablePolicy:
    """Returns the policy without its shadow rules."""
    return ApplicablePolicy(
        tuple(rule for rule in applicable.caps if rule.id not in shadow),
        tuple(rule for rule in applicable.gaps if rule.id not in shadow),
        tuple(rule for rule in applicable.histories if rule.id not in shadow),
        tuple(rule for rule in applicable.quiet_windows if rule.id not in shadow),
        applicable.slots,
        applicable.sibling_slots,
    )


def _marketing_intent_findings(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    if document.intent in _MARKETING_INTENTS and document.class_ is not Class.MARKETING:
        topic_hint = "" if document.topic else ", and without a `topic` customers cannot opt out of it by topic"
        yield warning(
            "/class",
            "marketing_without_consent",
            f"a message with the intent `{document.intent}` is marketing; as "
            f"`{document.class_}` it is sent without consent{topic_hint}",
            "Set `class: marketing` and a `topic`, or correct the `intent`.",
        )


def _locale_findings(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    """Locales of a version that was registered while any text could be one; no new one can have them."""
    for channel, locales in document.content.items():
        for locale in locales:
            try:
                parse_locale(locale)
            except ValueError as error:
                yield warning(
                    f"/content/{channel}/{escape_pointer(locale)}",
                    "not_a_locale",
                    f"{error}; only customers whose locale is spelt the same get this content",
                    "Save it under a language tag.",
                )


def _holdout_findings(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    if document.holdout == 100:
        yield warning(
            "/holdout",
            "everybody_held_out",
            "all customers are in the control group, so the campaign is never sent",
            "Set `holdout` below 100.",
        )


def _no_sending_hour_findings(applicable: ApplicablePolicy, index: int, channel: str) -> Iterator[Finding]:
    if (
        applicable.quiet_windows
        and week_minutes.combined_quiet_minutes(applicable.quiet_windows) == week_minutes.WHOLE_WEEK
    ):
        names = ", ".join(f"`{rule.id}`" for rule in applicable.quiet_windows)
        yield warning(
            f"/channels/{index}",
            "no_hour_left",
            f"the quiet hours {names} cover the whole week on {channel}, so nothing is ever sent there",
            "Remove the channel, or shorten the policy's quiet hours.",
        )


def _expiry_findings(
    document: schemas.campaign.Campaign, applicable: ApplicablePolicy, channel: str
) -> Iterator[Finding]:
    """Finds deferrals that, beginning with the event, end no earlier than the message expires."""
    quiet = week_minutes.combined_quiet_minutes(applicable.quiet_windows)
    if quiet != week_minutes.WHOLE_WEEK and (longest_span := week_minutes.longest_quiet_span(quiet)) >= document.ttl:
        names = ", ".join(f"`{rule.id}`" for rule in applicable.quiet_windows)
        yield _expires_while_deferred(
            document, f"quiet hours ({names}) last up to {format_duration(longest_span)} on {channel}"
        )
    for cap in applicable.caps:
        if not cap.drops and cap.rolling is not None and cap.limit == 1 and cap.rolling >= document.ttl:
            yield _expires_while_deferred(
                document, f"the cap `{cap.id}` can defer a message for up to {format_duration(cap.rolling)}"
            )
    for gap in applicable.gaps:
        if gap.gap >= document.ttl:
            yield _expires_while_deferred(
                document, f"the gap `{gap.id}` can defer a message for up to {format_duration(gap.gap)}"
            )
    for rule in applicable.histories:
        if not rule.drops and rule.within >= document.ttl:
            yield _expires_while_deferred(
                document, f"the rule `{rule.id}` can defer a message for {format_duration(rule.within)} or longer"
            )


def _expires_while_deferred(document: schemas.campaign.Campaign, why: str) -> Finding:
    return warning(
        "/ttl",
        "expires_while_deferred",
        f"{why}, but the message expires {format_duration(document.ttl)} after its event",
        "Raise `ttl`, or exclude the campaign from the rule's scope.",
    )


def _own_situation_findings(document: schemas.campaign.Campaign, policy: CompiledPolicy) -> Iterator[Finding]:
    """Finds the case that the triggering event always opens a situation which stops the campaign while it is open."""
    opened_kinds = {
        kind.kind
        for kind in policy.document.situations
        if any(trigger.event == document.trigger.event and trigger.when is None for trigger in kind.opens)
    }
    rules: dict[str, set[str]] = {}
    for channel in document.channels:
        kind = MessageAttributes(
            document.key, document.topic, channel.value, document.class_.value, document.intent.value
        )
        for rule in _without_shadow_rules(policy.applicable_to(kind), policy.shadow_ids).histories:
            if rule.while_open and rule.situation in opened_kinds:
                rules.setdefault(rule.id, set()).add(channel.value)
    for id, channels in rules.items():
        rule = next(rule for rule in policy.histories if rule.id == id)
        yield warning(
            "/trigger/event",
            "stopped_by_its_own_event",
            f"each `{document.trigger.event}` opens the situation `{rule.situation}`, and while it is open "
            f"the rule `{id}` {'drops' if rule.drops else 'defers'} this message on {', '.join(sorted(channels))}",
            "Use another trigger event, or change the rule's scope.",
        )
