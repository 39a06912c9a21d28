"""Findings about a policy."""

from collections.abc import Callable, Iterator, Sequence

import schemas.policy
from schemas.documents import suggestion
from schemas.fields import Scope
from schemas.times import Instant, format_duration
from schemas.vocabulary import Class
from services.orchestrator.campaigns.lint import redundant_rules, week_minutes
from services.orchestrator.campaigns.lint.finding import Finding
from services.orchestrator.policy.compiled_policy import History, Policy, compile_policy

MOST = 100
"""Of each kind, so many rules are compared with each other."""
_SAYS_NOTHING = "Remove it, or change what it covers."


def of_policy(document: schemas.policy.Policy, now: Instant) -> list[Finding]:
    """All findings, in the order of the document. `now`: the year from then on tells what clocks zones show."""
    policy = compile_policy(document, 0)
    return [
        *_topics(document),
        *_histories(policy),
        *_idle_caps(policy),
        *_idle(policy, "min_gaps", policy.gaps, redundant_rules.gap_by_gap),
        *_idle(policy, "quiet_hours", policy.quiet, redundant_rules.quiet_by_quiet),
        *_no_hour(policy, now),
        *_holdout(document),
    ]


def _topics(document: schemas.policy.Policy) -> Iterator[Finding]:
    """Scopes that name topics the policy lacks, and marketing where there is no topic for it."""
    known = {topic.key for topic in document.topics}
    for pointer, scope in _scopes(document):
        for place, topic in enumerate(scope.topics or ()):
            if topic not in known:
                yield Finding(
                    f"{pointer}/topics/{place}",
                    "unknown_topic",
                    f"`topics` of this policy has no `{topic}`{suggestion(topic, known)}, so no campaign can have it",
                    "Correct the name, or add the topic.",
                )
    if all(topic.required for topic in document.topics) and _expects_marketing(document):
        yield Finding(
            "/topics",
            "marketing_without_topic",
            "the policy has rules for marketing and no topic that customers can switch off, "
            "and a marketing campaign needs one",
            "Add a topic that is not `required`.",
        )


def _scopes(document: schemas.policy.Policy) -> Iterator[tuple[str, Scope]]:
    for field in ("contact_history", "frequency_caps", "min_gaps", "quiet_hours"):
        for place, rule in enumerate(getattr(document, field)):
            yield f"/{field}/{place}/scope", rule.scope


def _expects_marketing(document: schemas.policy.Policy) -> bool:
    return document.holdout is not None or any(
        scope.classes is not None and Class.MARKETING in scope.classes for _, scope in _scopes(document)
    )


def _histories(policy: Policy) -> Iterator[Finding]:
    yield from _idle(policy, "contact_history", policy.histories, redundant_rules.history_by_history)
    for place, waits in enumerate(policy.histories[:MOST]):
        for drops in policy.histories[:MOST]:
            if _contradict(policy, waits, drops):
                yield Finding(
                    f"/contact_history/{place}/on_match",
                    "contradicting_rules",
                    f"`{waits.id}` lets messages wait that `{drops.id}` drops for {format_duration(drops.within)} "
                    f"after the same: within that time they are dropped, later they wait",
                    "Let both rules drop or both defer, or narrow the scope of one.",
                )


def _contradict(policy: Policy, waits: History, drops: History) -> bool:
    """Both look back at the same, one defers and one drops, and the one that defers goes on for longer."""
    decide = not {waits.id, drops.id} & policy.shadow
    return (
        decide
        and drops.drops
        and not waits.drops
        and waits.within > drops.within
        and redundant_rules.refuses_within(waits, drops)
    )


def _idle_caps(policy: Policy) -> Iterator[Finding]:
    for place, cap in enumerate(policy.caps[:MOST]):
        if cap.id in policy.shadow:
            continue
        by_cap = redundant_rules.outer(
            cap, place, policy.caps[:MOST], policy.shadow, redundant_rules.cap_by_cap, redundant_rules.cap_by_cap
        )
        by = by_cap or redundant_rules.outer(cap, place, policy.gaps[:MOST], policy.shadow, redundant_rules.cap_by_gap)
        if by is not None:
            yield Finding(
                f"/frequency_caps/{place}",
                "cap_never_binds",
                f"whenever `{cap.id}` is used up, `{by.id}` stops the same messages at least as strictly",
                _SAYS_NOTHING,
            )


def _idle(
    policy: Policy,
    field: str,
    rules: Sequence[redundant_rules.Inner],
    implies: Callable[[redundant_rules.Inner, redundant_rules.Inner], bool],
) -> Iterator[Finding]:
    for place, rule in enumerate(rules[:MOST]):
        if rule.id in policy.shadow:
            continue
        by = redundant_rules.outer(rule, place, rules[:MOST], policy.shadow, implies, implies)
        if by is not None:
            yield Finding(
                f"/{field}/{place}",
                "unreachable_rule",
                f"whenever `{rule.id}` matches, `{by.id}` stops the same messages at least as strictly",
                _SAYS_NOTHING,
            )


def _no_hour(policy: Policy, now: Instant) -> Iterator[Finding]:
    """Sets of quiet hours that leave a message no hour of the week; or none to customers without zone and country."""
    rules = [rule for rule in policy.quiet[:MOST] if rule.id not in policy.shadow]
    clocks = week_minutes.offsets(policy.unknown_zones, now) if rules else frozenset()
    places = {rule.id: place for place, rule in enumerate(policy.quiet)}
    for some in week_minutes.together(rules):
        chosen = [rules[index] for index in sorted(some)]
        names = ", ".join(f"`{rule.id}`" for rule in chosen)
        pointer, quiet = f"/quiet_hours/{places[chosen[-1].id]}", week_minutes.united(chosen)
        if quiet == week_minutes.ALL:
            yield Finding(
                pointer,
                "no_hour_left",
                f"the quiet hours of {names} leave the messages that they cover no hour of the week",
                "Shorten the hours or narrow a scope; to stop messages, pause the campaign or place a hold.",
            )
        elif not week_minutes.free_anywhere(quiet, clocks):
            zones = ", ".join(zone.name for zone in policy.unknown_zones)
            yield Finding(
                pointer,
                "no_hour_left",
                f"at every hour one of the zones {zones} lies in the quiet hours of {names}, so a customer without "
                "zone and country never gets a message that they cover",
                "Name fewer zones under `unknown_zones`, or shorten the hours.",
            )


def _holdout(document: schemas.policy.Policy) -> Iterator[Finding]:
    if document.holdout is not None and document.holdout.percent == 100:
        yield Finding(
            "/holdout/percent",
            "everybody_held_out",
            "all customers are in the control group, so no marketing is ever sent",
            "Lower the percentage.",
        )
