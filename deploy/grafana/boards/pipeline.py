"""One row a stage, from the event to what the provider says: how many, what fails, how long, what waits."""

from deploy.grafana.board import (
    CHANNELS,
    DECISIONS,
    KAFKA,
    OVERVIEW,
    Board,
    Panel,
    Query,
    Row,
    Unit,
    age,
    console_link,
    quantile,
    rate,
)
from deploy.grafana.runtime_row import RUNTIME

DECISION_PAGE = console_link("decisions", "Decisions")
_POSTED = 'http_route="/v1/events", http_request_method="POST"'

INGEST = Row(
    "1. Events over HTTP",
    (
        Panel(
            "Events received",
            "Events of producers over HTTP, by result. Those that producers write to Kafka are in the next row.",
            "`invalid` or `id_reused`: a producer sends what nobody can use. It falls to 0: no producer reaches us.",
            (Query(rate("tactful_ingest_events_total", "outcome"), "{{outcome}}"),),
            (KAFKA,),
            Unit.PER_SECOND,
            alerts=("TactfulEventIdReused",),
            stacked=True,
            width=6,
        ),
        Panel(
            "Answers",
            "Requests to /v1/events a second, by status.",
            "Any 5xx; many 4xx: a producer or its key is wrong.",
            (
                Query(
                    rate("http_server_request_duration_seconds_count", "http_response_status_code", _POSTED),
                    "{{http_response_status_code}}",
                ),
            ),
            (OVERVIEW,),
            Unit.PER_SECOND,
            alerts=("TactfulIngestSLOBurn",),
            empty="No producer has sent an event over HTTP since the process started.",
            stacked=True,
            width=6,
        ),
        Panel(
            "Duration of requests",
            "How long requests to /v1/events take, in the middle and at the slowest hundredth.",
            "The slowest hundredth above 1 s: the log or the processor is slow.",
            tuple(
                Query(quantile(share, "http_server_request_duration_seconds", "", _POSTED), name)
                for share, name in ((0.5, "half"), (0.99, "slowest hundredth"))
            ),
            (OVERVIEW,),
            Unit.SECONDS,
            alerts=("TactfulIngestSLOBurn",),
            empty="No producer has sent an event over HTTP since the process started.",
            width=6,
        ),
        Panel(
            "Age of events at receipt",
            "How old events are when they are received: what the producer itself delays them by.",
            "Minutes: a producer is behind, and messages are late whatever we do.",
            (Query(quantile(0.95, "tactful_ingest_event_age_seconds", "source"), "{{source}}, slowest twentieth"),),
            (KAFKA,),
            Unit.SECONDS,
            width=6,
        ),
    ),
)

READ = Row(
    "2. Read from the log",
    (
        Panel(
            "Records",
            "Records that consumers have finished, by result.",
            "`dead_lettered` or `retried` above 0; `processed` at 0 while there is lag.",
            (Query(rate("tactful_consumer_records_total", "group, outcome"), "{{group}} {{outcome}}"),),
            (KAFKA,),
            Unit.PER_SECOND,
            alerts=("TactfulConsumerStuck", "TactfulDeadLettersGrowing"),
            width=6,
        ),
        Panel(
            "Events by result",
            "Events that the pipeline has read: judged, of no interest to a campaign, or repeated.",
            "`id_reused`: two events with one id. `duplicate` for long: a producer sends everything twice.",
            (Query(rate("tactful_pipeline_events_total", "outcome"), "{{outcome}}"),),
            (DECISIONS,),
            Unit.PER_SECOND,
            alerts=("TactfulEventIdReused",),
            stacked=True,
            width=6,
        ),
        Panel(
            "Behind the log",
            "The age of the oldest record that a consumer has not processed; 0 when it has caught up.",
            "Above 300 s.",
            (Query(age("tactful_consumer_next_record_timestamp_seconds", "group", "max"), "{{group}}"),),
            (KAFKA,),
            Unit.SECONDS,
            alerts=("TactfulConsumerBehind",),
            limits=(60, 300),
            least=60,
            width=6,
        ),
        Panel(
            "Records to read",
            "Records between what a consumer has processed and the end of the log.",
            "It only grows.",
            (
                Query(
                    "sum by (group) (max by (group, topic, partition) (tactful_consumer_lag_records))",
                    "{{group}}",
                ),
            ),
            (KAFKA,),
            alerts=("TactfulConsumerLagGrowing", "TactfulConsumerStuck"),
            width=6,
        ),
    ),
)

DECIDE = Row(
    "3. Decide",
    (
        Panel(
            "Decisions",
            "Decisions a second, by outcome.",
            "`fail` above 0; all fall to 0 while events arrive.",
            (Query(rate("tactful_decisions_total", "outcome"), "{{outcome}}"),),
            (DECISIONS, DECISION_PAGE),
            Unit.PER_SECOND,
            alerts=("TactfulSendVolumeAnomaly",),
            stacked=True,
            width=6,
        ),
        Panel(
            "Rules that could not be evaluated",
            "By rule, and by whether the message was stopped (fail_closed) or let through (fail_open).",
            "Anything above 0.",
            (Query(rate("tactful_policy_check_errors_total", "mode"), "{{mode}}"),),
            (DECISIONS,),
            Unit.PER_SECOND,
            alerts=("TactfulPolicyFailingClosed", "TactfulPolicyFailedOpen"),
            least=0.1,
            width=6,
        ),
        Panel(
            "Duration of a batch",
            "The time to decide the events of a batch, slowest twentieth, by class.",
            "Above 1 s: a database or another service answers slowly.",
            (Query(quantile(0.95, "tactful_decision_duration_seconds", "class"), "{{class}}"),),
            (DECISIONS,),
            Unit.SECONDS,
            width=6,
        ),
        Panel(
            "Age of what decisions rest on",
            "Since when a process has not loaded campaigns, policy, templates or suppressions, or found them current.",
            "Above 900 s: it decides with old rules.",
            (Query(age("tactful_rules_loaded_timestamp_seconds", "job, kind"), "{{job}} {{kind}}"),),
            (DECISIONS,),
            Unit.SECONDS,
            alerts=("TactfulRulesStale",),
            limits=(900,),
            width=6,
        ),
    ),
)

DEFER = Row(
    "4. Defer and bring back",
    (
        Panel(
            "Deferred messages",
            "Messages that wait for a later time, by the reason of their last decision.",
            "`incident_hold` that nobody knows of; `retry` that grows: a provider fails.",
            (Query("sum by (reason) (max by (channel, reason) (tactful_deferred_messages))", "{{reason}}"),),
            (DECISIONS, console_link("holds", "Holds")),
            alerts=("TactfulHoldForgotten",),
            stacked=True,
            width=6,
        ),
        Panel(
            "Expired unsent",
            "Deferred messages whose time was over before they could be sent.",
            "Any transactional one.",
            (Query(rate("tactful_deferred_expired_total", "class"), "{{class}}"),),
            (DECISIONS,),
            Unit.PER_SECOND,
            least=0.1,
            width=6,
        ),
        Panel(
            "Overdue",
            "By how much the oldest due message is late, by channel; 0 when none is.",
            "Above 300 s: the scheduler stands still.",
            (Query(age("tactful_deferred_due_timestamp_seconds", "channel"), "{{channel}}"),),
            (OVERVIEW,),
            Unit.SECONDS,
            alerts=("TactfulDeferredOverdue",),
            limits=(300,),
            least=60,
            width=6,
        ),
        Panel(
            "Due within half an hour",
            "Deferred messages that come due soon, by channel, retries apart.",
            "Far more than are handed over in half an hour: they will wait.",
            (Query("max by (channel) (tactful_deferred_due_soon_messages)", "{{channel}}"),),
            (DECISIONS,),
            alerts=("TactfulQuietHoursReleaseSurge",),
            least=10,
            width=6,
        ),
        Panel(
            "Since a stage last finished something",
            "By stage. Without events and messages it rises, and means nothing.",
            "dispatch above 120 s while messages wait.",
            (Query("time() - max by (stage) (tactful_stage_last_processed_timestamp_seconds > 0)", "{{stage}}"),),
            (OVERVIEW,),
            Unit.SECONDS,
            alerts=("TactfulPipelineStalled",),
            width=6,
        ),
    ),
)

HAND_OVER = Row(
    "5. Render and hand over",
    (
        Panel(
            "Handovers",
            "Attempts a second, by result.",
            "Other results than `accepted` for minutes.",
            (Query(rate("tactful_delivery_attempts_total", "outcome") + " > 0", "{{outcome}}"),),
            (CHANNELS,),
            Unit.PER_SECOND,
            alerts=("TactfulAdapterErrorsHigh",),
            empty="No message has been handed over in the last minutes.",
            stacked=True,
            width=6,
        ),
        Panel(
            "Messages that cannot be rendered",
            "Renderings that failed, by channel and reason.",
            "Anything above 0: a template or an event lacks something.",
            (
                Query(
                    rate("tactful_renders_total", "channel, reason", 'outcome="failed"') + " > 0",
                    "{{channel}} {{reason}}",
                ),
            ),
            (DECISIONS,),
            Unit.PER_SECOND,
            alerts=("TactfulRenderFailures",),
            empty="Every message could be rendered.",
            width=6,
        ),
        Panel(
            "From ready to accepted",
            "The slowest twentieth, by channel.",
            "Above 30 s for transactional messages.",
            (Query(quantile(0.95, "tactful_event_to_handover_seconds", "channel"), "{{channel}}"),),
            (CHANNELS,),
            Unit.SECONDS,
            alerts=("TactfulHandoverSLOBurn",),
            limits=(30,),
            width=6,
        ),
        Panel(
            "Wait of the oldest ready message",
            "By channel; 0 when none waits.",
            "Above 60 s.",
            (Query(age("tactful_delivery_queue_oldest_timestamp_seconds", "channel"), "{{channel}}"),),
            (CHANNELS,),
            Unit.SECONDS,
            alerts=("TactfulOutboxBacklog", "TactfulPipelineStalled"),
            limits=(60,),
            least=60,
            width=6,
        ),
    ),
)

HEAR = Row(
    "6. What providers say",
    (
        Panel(
            "Statements about messages",
            "Receipts a second, by kind, each once.",
            "`bounced` or `complained` rise; all fall to 0 while messages are accepted: receipts do not arrive.",
            (Query(rate("tactful_deliveries_total", "kind"), "{{kind}}"),),
            (CHANNELS,),
            Unit.PER_SECOND,
            stacked=True,
            width=8,
        ),
        Panel(
            "Receipts without effect",
            "Receipts that changed nothing, by cause.",
            "`refused`: a signature is wrong. `unknown_message`: another installation's receipts arrive here.",
            (Query(rate("tactful_receipts_without_effect_total", "cause"), "{{cause}}"),),
            (CHANNELS,),
            Unit.PER_SECOND,
            least=0.1,
            width=8,
        ),
        Panel(
            "From handover to receipt",
            "The slowest twentieth, by channel.",
            "It rises: the provider or its receipts are late, and campaigns that fall back wait longer.",
            (Query(quantile(0.95, "tactful_delivery_receipt_delay_seconds", "channel"), "{{channel}}"),),
            (CHANNELS,),
            Unit.SECONDS,
            width=8,
        ),
    ),
)

BOARD = Board(
    "tactful-pipeline",
    "Pipeline",
    "Each stage from the event to what the provider says: how many, what fails, how long it takes, what waits.",
    (INGEST, READ, DECIDE, DEFER, HAND_OVER, HEAR, RUNTIME),
)
