"""Alerts about the servers that processes need."""

from deploy.prometheus.rule import AlertRule

ALERTS = (
    AlertRule(
        "TactfulKafkaUnreachable",
        "critical",
        "1m",
        "Kafka does not answer",
        "{{ $value }} processes of {{ $labels.job }} have had no answer from Kafka for a minute: no "
        "events are read or taken.",
        'count by (job) (tactful_dependency_up{dependency="kafka"} == 0) > 0',
    ),
    AlertRule(
        "TactfulDatabaseUnreachable",
        "critical",
        "1m",
        "A database does not answer",
        "{{ $value }} processes of {{ $labels.job }} have had no answer from their database for a minute.",
        'count by (job) (tactful_dependency_up{dependency="database"} == 0) > 0',
    ),
    AlertRule(
        "TactfulServiceUnreachable",
        "critical",
        "2m",
        "A service does not answer another one",
        "{{ $value }} processes of {{ $labels.job }} have had no answer from {{ $labels.dependency }} for two minutes.",
        "count by (job, dependency) "
        '(tactful_dependency_up{dependency=~"orchestrator|preference|suppression"} == 0) > 0',
    ),
)
