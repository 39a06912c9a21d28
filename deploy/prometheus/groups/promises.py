"""Alerts about what Tactful promises: to whom it may send, and how fast a refusal counts."""

from deploy.prometheus.rule import AlertRule

ALERTS = (
    AlertRule(
        "TactfulInvariantViolated",
        "critical",
        "0m",
        "A message was sent that should not have been",
        "The auditor found: {{ $labels.invariant }}. Consider a hold on the channel.",
        "sum by (invariant) (increase(tactful_invariant_violations_total[5m])) > 0",
    ),
    AlertRule(
        "TactfulOptOutSlow",
        "warning",
        "10m",
        "Opt-outs take long to be enforced",
        "The slowest hundredth of opt-outs takes {{ $value | humanizeDuration }}.",
        "histogram_quantile(0.99, sum by (le) (rate(tactful_optout_enforced_seconds_bucket[10m]))) > $opt_out_seconds",
    ),
    AlertRule(
        "TactfulOptOutBreach",
        "critical",
        "0m",
        "An opt-out took more than a day",
        "It took more than 24 hours until an opt-out was enforced.",
        "sum(increase(tactful_optout_enforced_seconds_count[1h])) - "
        'sum(increase(tactful_optout_enforced_seconds_bucket{le="86400.0"}[1h])) > 0',
    ),
    AlertRule(
        "TactfulHoldForgotten",
        "warning",
        "12h",
        "A hold has been in force for half a day",
        "{{ $value }} holds defer messages; somebody may have forgotten to lift one.",
        'max(tactful_holds_active{mode="defer"}) > 0',
    ),
    AlertRule(
        "TactfulPolicyFailingClosed",
        "critical",
        "5m",
        "Rules cannot be evaluated",
        "{{ $value | humanizePercentage }} of decisions fail because a rule cannot be evaluated; those "
        "messages are not sent.",
        'sum(rate(tactful_policy_check_errors_total{mode="fail_closed"}[5m])) / '
        "(sum(rate(tactful_decisions_total[5m])) > 0) > 0.01 and "
        'sum(increase(tactful_policy_check_errors_total{mode="fail_closed"}[5m])) > 3',
    ),
    AlertRule(
        "TactfulPolicyFailedOpen",
        "critical",
        "0m",
        "A message was sent without a check",
        "The rule {{ $labels.check }} could not be evaluated, and the policy allows a transactional campaign to pass.",
        'sum by (check) (increase(tactful_policy_check_errors_total{mode="fail_open"}[5m])) > 0',
    ),
)
