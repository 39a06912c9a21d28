"""Alerts about what runs on its own beside messages, and about the alerts themselves."""

from deploy.prometheus.rule import AlertRule

ALERTS = (
    AlertRule(
        "TactfulAuditWriteFailing",
        "critical",
        "0m",
        "The audit log cannot be written",
        "{{ $value | humanize }} entries of {{ $labels.job }} could not be written in five minutes: people's requests "
        "are refused, but for opt-outs, do-not-contact entries and holds.",
        "sum by (job) (increase(tactful_audit_write_failures_total[5m])) > 0",
    ),
    AlertRule(
        "TactfulCredentialExpiring",
        "warning",
        "1h",
        "A certificate ends soon",
        "The certificate that {{ $labels.job }} shows ({{ $labels.use }}) ends in {{ $value | humanizeDuration }}.",
        "min by (job, use) (tactful_certificate_expiry_timestamp_seconds > 0) - time() < $certificate_days * 86400",
    ),
    AlertRule(
        "TactfulTaskOverdue",
        "warning",
        "0m",
        "The hourly job does not come to its end",
        "{{ $labels.service }} last went through {{ $labels.kind }} to the end {{ $value | humanizeDuration }} ago.",
        "time() - max by (service, kind) (tactful_retention_last_run_timestamp_seconds > 0) > "
        "$task_overdue_hours * 3600",
    ),
    AlertRule(
        "TactfulRetentionBehind",
        "warning",
        "2h",
        "Data is kept for longer than the settings say",
        "{{ $labels.service }} has {{ $labels.kind }} that have outlived their retention by {{ $value | "
        "humanizeDuration }}.",
        "max by (job, service, kind) (tactful_retention_overdue_seconds) > 172800",
    ),
    AlertRule(
        "TactfulTargetDown",
        "critical",
        "5m",
        "A process does not respond",
        "{{ $labels.job }} at {{ $labels.instance }} has not responded to Prometheus for five minutes.",
        "up == 0",
    ),
    AlertRule(
        "TactfulWatchdog",
        "none",
        "0m",
        "Alerting works",
        "Always firing. If it is missing, alerts do not arrive.",
        "vector(1)",
    ),
)
