"""Alerts about the way from an event to a message that is ready."""

from deploy.prometheus.rule import AlertRule

ALERTS = (
    AlertRule(
        "TactfulPipelineStalled",
        "critical",
        "2m",
        "Nothing is handed over",
        "{{ $value }} messages are ready, and no adapter has returned a result for two minutes.",
        "sum(max by (channel) (tactful_delivery_queue_messages)) > 0 and time() - "
        'max(tactful_stage_last_processed_timestamp_seconds{stage="dispatch"}) > 120',
    ),
    AlertRule(
        "TactfulConsumerBehind",
        "critical",
        "5m",
        "A consumer is far behind the log",
        "{{ $labels.group }} is {{ $value | humanizeDuration }} behind on {{ $labels.topic }}.",
        "(time() - max by (group, topic) (tactful_consumer_next_record_timestamp_seconds > 0)) > "
        "$consumer_behind_seconds",
    ),
    AlertRule(
        "TactfulConsumerLagGrowing",
        "warning",
        "15m",
        "A consumer falls behind",
        "The lag of {{ $labels.group }} on {{ $labels.topic }} has grown by {{ $value | humanize }} "
        "records in 15 minutes.",
        "sum by (group, topic) (delta(tactful_consumer_lag_records[15m])) > 0 and (time() - max by "
        "(group, topic) (tactful_consumer_next_record_timestamp_seconds > 0)) > 60",
    ),
    AlertRule(
        "TactfulConsumerStuck",
        "critical",
        "5m",
        "A consumer makes no progress",
        "{{ $labels.group }} has {{ $value }} records to read on {{ $labels.topic }} and finishes none.",
        "sum by (group, topic) (max by (group, topic, partition) (tactful_consumer_lag_records)) > 0 and "
        "sum by (group, topic) "
        '(rate(tactful_consumer_records_total{outcome=~"processed|dead_lettered"}[5m])) == 0',
    ),
    AlertRule(
        "TactfulRulesStale",
        "warning",
        "5m",
        "A process decides with old campaigns or policy",
        "{{ $labels.job }} has not loaded its {{ $labels.kind }} data for {{ $value | humanizeDuration }}.",
        "time() - min by (job, kind) (tactful_rules_loaded_timestamp_seconds > 0) > $rules_stale_seconds",
    ),
    AlertRule(
        "TactfulDeadLettersGrowing",
        "warning",
        "10m",
        "Records become dead letters",
        "{{ $value | humanize }} records a minute of {{ $labels.topic }} become dead letters: {{ $labels.reason }}.",
        "sum by (topic, reason) (rate(tactful_dead_letter_records_total[10m])) * 60 > $dead_letters_a_minute",
    ),
    AlertRule(
        "TactfulEventIdReused",
        "warning",
        "0m",
        "A producer uses the ids of events again",
        "{{ $value | humanize }} events of the last 15 minutes have the source and id of another event. "
        "They have no effect: only the first one counts.",
        '(sum (increase(tactful_ingest_events_total{outcome="id_reused"}[15m])) or vector(0)) + (sum '
        '(increase(tactful_pipeline_events_total{outcome="id_reused"}[15m])) or vector(0)) + (sum '
        '(increase(tactful_preference_changes_total{action="conflict"}[15m])) or vector(0)) + (sum '
        '(increase(tactful_suppression_events_total{result="conflict"}[15m])) or vector(0)) > 0',
    ),
    AlertRule(
        "TactfulDeadLettersOld",
        "warning",
        "0m",
        "Dead letters are unresolved",
        "The oldest open dead letter of {{ $labels.topic }} in {{ $labels.service }} is {{ $value | "
        "humanizeDuration }} old. `tactful dlq list` shows it.",
        "time() - min by (job, service, topic) (tactful_dead_letter_oldest_timestamp_seconds > 0) > "
        "$dead_letter_hours * 3600",
    ),
    AlertRule(
        "TactfulReplyUndecided",
        "warning",
        "0m",
        "A reply that may ask to stop waits for a decision",
        "The oldest reply that nobody has decided about is {{ $value | humanizeDuration }} old. Messages "
        "to its address wait, and may expire. The console's page Replies shows it.",
        "time() - min(tactful_undecided_reply_oldest_timestamp_seconds > 0) > 24 * 3600",
    ),
    AlertRule(
        "TactfulDeferredOverdue",
        "warning",
        "5m",
        "Deferred messages are not evaluated when due",
        "A deferred message on {{ $labels.channel }} was due {{ $value | humanizeDuration }} ago.",
        "time() - min by (channel) (tactful_deferred_due_timestamp_seconds > 0) > $deferred_overdue_seconds",
    ),
    AlertRule(
        "TactfulOutboxBacklog",
        "warning",
        "5m",
        "Messages wait for handover",
        "The oldest ready message has waited for {{ $value | humanizeDuration }}.",
        "time() - min(tactful_outbox_oldest_timestamp_seconds > 0) > $outbox_seconds",
    ),
    AlertRule(
        "TactfulOutTopicBehind",
        "warning",
        "5m",
        "A topic that Tactful publishes does not get on",
        "The oldest change that is not in {{ $labels.topic }} was made {{ $value | humanizeDuration }} ago.",
        "time() - min by (topic) (tactful_out_topic_oldest_timestamp_seconds > 0) > 60",
    ),
    AlertRule(
        "TactfulDbPoolExhausted",
        "warning",
        "5m",
        "Transactions wait for database connections",
        "A twentieth of the transactions of {{ $labels.job }} wait longer than {{ $value | "
        "humanizeDuration }} for a connection.",
        "histogram_quantile(0.95, sum by (job, le) (rate(tactful_db_pool_wait_seconds_bucket[5m]))) > "
        "$pool_wait_seconds",
    ),
    AlertRule(
        "TactfulPartitionStuck",
        "critical",
        "5m",
        "A consumer makes no progress on one partition",
        "{{ $labels.group }} has had {{ $value }} records to read on partition {{ $labels.partition }} of "
        "{{ $labels.topic }}, and never fewer for 15 minutes: customers of that partition get nothing.",
        "max by (group, topic, partition) (tactful_consumer_lag_records) > 0 and "
        "max by (group, topic, partition) (min_over_time(tactful_consumer_lag_records[15m])) > 0 and "
        "max by (group, topic, partition) (resets(tactful_consumer_lag_records[15m])) == 0 and "
        "min by (group, topic, partition) (count_over_time(tactful_consumer_lag_records[15m])) > 14",
    ),
    AlertRule(
        "TactfulQuietHoursReleaseSurge",
        "info",
        "10m",
        "More messages come due soon than are handed over in that time",
        "{{ $value | humanize }} messages on {{ $labels.channel }} come due within half an hour, far more than the "
        "most that was handed over in half an hour of the last day: they will wait.",
        "max by (channel) (tactful_deferred_due_soon_messages) > 1000 and "
        "max by (channel) (tactful_deferred_due_soon_messages) > $release_factor * "
        "max_over_time((sum by (channel) "
        "(increase(tactful_delivery_attempts_total{outcome='accepted'}[30m])))[1d:10m])",
    ),
)
