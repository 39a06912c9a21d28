"""Lint of a policy."""

from collections.abc import Callable, Iterator, Sequence

import schemas.policy
from schemas.documents import did_you_mean
from schemas.fields import Scope
from schemas.finding import Finding, warning
from schemas.times import Instant, format_duration
from schemas.vocabulary import Class
from services.orchestrator.campaigns.lint import redundant_rules, week_minutes
from services.orchestrator.policy.compiled_policy import CompiledPolicy, HistoryRule, compile_policy

MAX_COMPARED_RULES = 100
"""Rules of each kind that are compared with each other, at most."""
_REDUNDANT_SUGGESTION = "Remove it, or change its scope."


def lint_policy(document: schemas.policy.Policy, now: Instant) -> list[Finding]:
    """Returns all findings in the order of the document. `now`: clock changes are looked at for one year from then."""
    policy = compile_policy(document, 0)
    return [
        *_topic_findings(document),
        *_history_findings(policy),
        *_redundant_cap_findings(policy),
        *_redundant_rule_findings(policy, "min_gaps", policy.gaps, redundant_rules.is_gap_covered_by_gap),
        *_redundant_rule_findings(policy, "quiet_hours", policy.quiet_windows, redundant_rules.is_quiet_covered),
        *_no_sending_hour_findings(policy, now),
        *_holdout_findings(document),
    ]


def _topic_findings(document: schemas.policy.Policy) -> Iterator[Finding]:
    """Finds scopes with topics that the policy lacks, and marketing scopes without any topic."""
    topic_keys = {topic.key for topic in document.topics}
    for pointer, scope in _scopes(document):
        for index, topic in enumerate(scope.topics or ()):
            if topic not in topic_keys:
                yield warning(
                    f"{pointer}/topics/{index}",
                    "unknown_topic",
                    f"`topics` does not list `{topic}`{did_you_mean(topic, topic_keys)}, so no campaign can use it",
                    "Correct the name, or add the topic.",
                )
    if all(topic.required for topic in document.topics) and _expects_marketing(document):
        yield warning(
            "/topics",
            "marketing_without_topic",
            "the policy has rules for marketing but no topic that customers can switch off, "
            "which every marketing campaign needs",
            "Add a topic that is not `required`.",
        )


def _scopes(document: schemas.policy.Policy) -> Iterator[tuple[str, Scope]]:
    for field in ("contact_history", "frequency_caps", "min_gaps", "quiet_hours"):
        for index, rule in enumerate(getattr(document, field)):
            yield f"/{field}/{index}/scope", rule.scope


def _expects_marketing(document: schemas.policy.Policy) -> bool:
    return document.holdout is not None or any(
        scope.classes is not None and Class.MARKETING in scope.classes for _, scope in _scopes(document)
    )


def _history_findings(policy: CompiledPolicy) -> Iterator[Finding]:
    yield from _redundant_rule_findings(policy, "contact_history", policy.histories, redundant_rules.is_history_covered)
    for index, deferring_rule in enumerate(policy.histories[:MAX_COMPARED_RULES]):
        for dropping_rule in policy.histories[:MAX_COMPARED_RULES]:
            if _is_contradiction(policy, deferring_rule, dropping_rule):
                yield warning(
                    f"/contact_history/{index}/on_match",
                    "contradicting_rules",
                    f"`{deferring_rule.id}` defers messages that `{dropping_rule.id}` drops: in the first "
                    f"{format_duration(dropping_rule.within)} they are dropped, afterwards they are deferred",
                    "Set the same `on_match` in both rules, or narrow the scope of one.",
                )


def _is_contradiction(policy: CompiledPolicy, deferring_rule: HistoryRule, dropping_rule: HistoryRule) -> bool:
    """Whether both rules look back at the same contacts, one defers and one drops, and the deferring one lasts
    longer.
    """
    both_decide = not {deferring_rule.id, dropping_rule.id} & policy.shadow_ids
    return (
        both_decide
        and dropping_rule.drops
        and not deferring_rule.drops
        and deferring_rule.within > dropping_rule.within
        and redundant_rules.is_history_condition_covered(deferring_rule, dropping_rule)
    )


def _redundant_cap_findings(policy: CompiledPolicy) -> Iterator[Finding]:
    for index, cap in enumerate(policy.caps[:MAX_COMPARED_RULES]):
        if cap.id in policy.shadow_ids:
            continue
        covering_cap = redundant_rules.find_covering_rule(
            cap,
            index,
            policy.caps[:MAX_COMPARED_RULES],
            policy.shadow_ids,
            redundant_rules.is_cap_covered_by_cap,
            redundant_rules.is_cap_covered_by_cap,
        )
        covering_rule = covering_cap or redundant_rules.find_covering_rule(
            cap, index, policy.gaps[:MAX_COMPARED_RULES], policy.shadow_ids, redundant_rules.is_cap_covered_by_gap
        )
        if covering_rule is not None:
            yield warning(
                f"/frequency_caps/{index}",
                "cap_never_binds",
                f"whenever `{cap.id}` is reached, `{covering_rule.id}` blocks the same messages at least as strictly",
                _REDUNDANT_SUGGESTION,
            )


def _redundant_rule_findings(
    policy: CompiledPolicy,
    field: str,
    rules: Sequence[redundant_rules.InnerRule],
    is_covered: Callable[[redundant_rules.InnerRule, redundant_rules.InnerRule], bool],
) -> Iterator[Finding]:
    for index, rule in enumerate(rules[:MAX_COMPARED_RULES]):
        if rule.id in policy.shadow_ids:
            continue
        covering_rule = redundant_rules.find_covering_rule(
            rule, index, rules[:MAX_COMPARED_RULES], policy.shadow_ids, is_covered, is_covered
        )
        if covering_rule is not None:
            yield warning(
                f"/{field}/{index}",
                "unreachable_rule",
                f"whenever `{rule.id}` matches, `{covering_rule.id}` blocks the same messages at least as strictly",
                _REDUNDANT_SUGGESTION,
            )


def _no_sending_hour_findings(policy: CompiledPolicy, now: Instant) -> Iterator[Finding]:
    """Finds sets of quiet hours that leave a message no hour of the week, for everybody or for customers without a
    zone.
    """
    rules = [rule for rule in policy.quiet_windows[:MAX_COMPARED_RULES] if rule.id not in policy.shadow_ids]
    utc_offsets = week_minutes.utc_offset_sets(policy.unknown_zones, now) if rules else frozenset()
    index_by_id = {rule.id: index for index, rule in enumerate(policy.quiet_windows)}
    for rule_set in week_minutes.overlapping_rule_sets(rules):
        overlapping = [rules[rule_index] for rule_index in sorted(rule_set)]
        names = ", ".join(f"`{rule.id}`" for rule in overlapping)
        pointer, quiet = (
            f"/quiet_hours/{index_by_id[overlapping[-1].id]}",
            week_minutes.combined_quiet_minutes(overlapping),
        )
        if quiet == week_minutes.WHOLE_WEEK:
            yield warning(
                pointer,
                "no_hour_left",
                f"the quiet hours {names} cover the whole week, so messages in their scope are never sent",
                "Shorten the quiet hours or narrow a scope; to stop messages, pause the campaign or place a hold.",
            )
        elif not week_minutes.has_free_minute(quiet, utc_offsets):
            zones = ", ".join(zone.name for zone in policy.unknown_zones)
            yield warning(
                pointer,
                "no_hour_left",
                f"at every hour one of the zones {zones} is within the quiet hours {names}, so a customer whose "
                "time zone and country are unknown never gets a message in their scope",
                "List fewer zones under `unknown_zones`, or shorten the quiet hours.",
            )


def _holdout_findings(document: schemas.policy.Policy) -> Iterator[Finding]:
    if document.holdout is not None and document.holdout.percent == 100:
        yield warning(
            "/holdout/percent",
            "everybody_held_out",
            "all customers are in the control group, so no marketing is ever sent",
            "Set `percent` below 100.",
        )
