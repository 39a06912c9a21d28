"""Alerts about providers, and about what is sent to them."""

from deploy.prometheus.rule import AlertRule

ALERTS = (
    AlertRule(
        "TactfulAdapterErrorsHigh",
        "warning",
        "10m",
        "A provider does not accept messages",
        "{{ $value | humanize }} attempts a second by {{ $labels.adapter }} on {{ $labels.channel }} "
        "fail, too large a share.",
        "sum by (channel, adapter) "
        '(rate(tactful_delivery_attempts_total{outcome=~"permanent|retryable|timeout|unknown"}[10m])) > '
        "1 and sum by (channel, adapter) "
        '(rate(tactful_delivery_attempts_total{outcome=~"permanent|retryable|timeout|unknown"}[10m])) / '
        "sum by (channel, adapter) (rate(tactful_delivery_attempts_total[10m])) > $adapter_errors_share",
    ),
    AlertRule(
        "TactfulAdapterAccountRefused",
        "critical",
        "1m",
        "A provider refuses our account",
        "{{ $labels.adapter }} refused {{ $value | humanize }} attempts on {{ $labels.channel }} in a "
        "quarter of an hour for the key, the sender or the contract: no message gets out there until "
        "somebody mends it.",
        'sum by (channel, adapter) (increase(tactful_delivery_faults_total{fault="account"}[15m])) > 0',
    ),
    AlertRule(
        "TactfulAdapterCircuitOpen",
        "warning",
        "2m",
        "An adapter gets no messages",
        "{{ $labels.adapter }} has failed, or is refused, and gets nothing but a few messages now and "
        "then. Others of its channel take its share; if there are none, the channel waits.",
        "max by (adapter) (tactful_adapter_circuit_open) == 1",
    ),
    AlertRule(
        "TactfulSendVolumeAnomaly",
        "warning",
        "15m",
        "Far more or far fewer messages than a week ago",
        "{{ $value | humanize }} messages a second in the last hour: a campaign may be sending far too "
        "much, or nothing.",
        '(sum(rate(tactful_decisions_total{outcome="send"}[1h])) > 1 and '
        'sum(rate(tactful_decisions_total{outcome="send"}[1h])) > $volume_factor * '
        'sum(rate(tactful_decisions_total{outcome="send"}[1h] offset 1w))) or '
        '(sum(rate(tactful_decisions_total{outcome="send"}[1h] offset 1w)) > 1 and '
        'sum(rate(tactful_decisions_total{outcome="send"}[1h])) < 1 / $volume_factor * '
        'sum(rate(tactful_decisions_total{outcome="send"}[1h] offset 1w)))',
    ),
    AlertRule(
        "TactfulSuppressionShareJump",
        "warning",
        "30m",
        "Far more is suppressed than usual",
        "The share of decisions that suppress is {{ $value | humanizePercentage }} above that of seven days.",
        'sum(rate(tactful_decisions_total{outcome="suppress"}[1h])) / '
        "sum(rate(tactful_decisions_total[1h])) - "
        'sum(rate(tactful_decisions_total{outcome="suppress"}[7d])) / '
        "sum(rate(tactful_decisions_total[7d])) > $suppression_share_jump and "
        "sum(increase(tactful_decisions_total[1h])) > 300",
    ),
    AlertRule(
        "TactfulRenderFailures",
        "warning",
        "10m",
        "Messages cannot be rendered",
        "{{ $value | humanizePercentage }} of the messages on {{ $labels.channel }} cannot be rendered.",
        'sum by (channel) (rate(tactful_renders_total{outcome="failed"}[10m])) / (sum by (channel) '
        "(rate(tactful_renders_total[10m])) > 0) > $render_failures_share and sum by (channel) "
        '(increase(tactful_renders_total{outcome="failed"}[10m])) > 3',
    ),
    AlertRule(
        "TactfulBounceOrComplaintSpike",
        "warning",
        "30m",
        "Too many messages bounce, or customers complain",
        "{{ $value | humanizePercentage }} of what {{ $labels.adapter }} took on {{ $labels.channel }} in an hour "
        "bounced, or was complained about. Providers close accounts for it.",
        "(sum by (channel, adapter) (increase(tactful_deliveries_total{kind='bounced'}[1h])) > 10 and "
        "sum by (channel, adapter) (increase(tactful_deliveries_total{kind='bounced'}[1h])) / "
        "sum by (channel, adapter) (increase(tactful_delivery_attempts_total{outcome='accepted'}[1h])) > "
        "$bounced_share) or "
        "(sum by (channel, adapter) (increase(tactful_deliveries_total{kind='complained'}[1h])) > 3 and "
        "sum by (channel, adapter) (increase(tactful_deliveries_total{kind='complained'}[1h])) / "
        "sum by (channel, adapter) (increase(tactful_delivery_attempts_total{outcome='accepted'}[1h])) > "
        "$complained_share)",
    ),
    AlertRule(
        "TactfulReceiptsMissing",
        "warning",
        "30m",
        "A provider no longer says what became of messages",
        "{{ $labels.adapter }} took {{ $value | humanize }} messages on {{ $labels.channel }} in an hour and said "
        "nothing about any, unlike on the day before: bounces and complaints do not come back.",
        "sum by (channel, adapter) (increase(tactful_delivery_attempts_total{outcome='accepted'}[1h])) > 100 and "
        "sum by (channel, adapter) (increase(tactful_deliveries_total[1h])) == 0 and "
        "sum by (channel, adapter) (increase(tactful_deliveries_total[1d] offset 1h)) > 0",
    ),
    AlertRule(
        "TactfulReceiptsRefused",
        "warning",
        "10m",
        "Receipts are refused",
        "{{ $value | humanize }} receipts of {{ $labels.adapter }} in 15 minutes had a wrong signature or form.",
        "sum by (adapter) (increase(tactful_receipts_without_effect_total{cause='refused'}[15m])) > 10",
    ),
)
