"""How far consumers are in the log, what they spend their time on, dead letters, and the topics that Tactful writes."""

from deploy.grafana.board import OVERVIEW, PIPELINE, PROMISES, Board, Panel, Query, Row, Unit, age, console_link, rate
from deploy.grafana.runtime_row import RUNTIME

DEAD_LETTER_PAGE = console_link("dead-letters", "Dead letters")

CONSUMERS = Row(
    "Consumers",
    (
        Panel(
            "Behind the log",
            "The age of the oldest record that a consumer has not processed; 0 when it has caught up.",
            "Above 300 s.",
            (
                Query(
                    age("tactful_consumer_next_record_timestamp_seconds", "group, topic", "max"), "{{group}} {{topic}}"
                ),
            ),
            (PIPELINE,),
            Unit.SECONDS,
            alerts=("TactfulConsumerBehind",),
            limits=(60, 300),
            least=60,
        ),
        Panel(
            "Records to read",
            "Records between what a consumer has processed and the end of the log.",
            "It only grows.",
            (
                Query(
                    "sum by (group, topic) (max by (group, topic, partition) (tactful_consumer_lag_records))",
                    "{{group}} {{topic}}",
                ),
            ),
            (PIPELINE,),
            alerts=("TactfulConsumerLagGrowing", "TactfulConsumerStuck"),
            least=10,
        ),
        Panel(
            "Records to read, by partition",
            "The partitions with most records to read.",
            "One partition grows alone: a record of it holds up what follows, or one customer has very many events.",
            (
                Query(
                    "topk(8, max by (group, topic, partition) (tactful_consumer_lag_records))",
                    "{{group}} {{topic}}/{{partition}}",
                ),
            ),
            (DEAD_LETTER_PAGE,),
            alerts=("TactfulPartitionStuck",),
            least=10,
        ),
        Panel(
            "Records finished",
            "Records a second, by result.",
            "`dead_lettered` or `retried` above 0; `processed` at 0 while there is something to read.",
            (Query(rate("tactful_consumer_records_total", "group, outcome"), "{{group}} {{outcome}}"),),
            (PIPELINE,),
            Unit.PER_SECOND,
            alerts=("TactfulConsumerStuck",),
        ),
        Panel(
            "What consumers do",
            "The share of their time by activity. What is missing to the number of groups is idle.",
            "`commit` or `process` near 1: the database is slow. `rebalance` at all for long.",
            (
                Query(
                    rate("tactful_consumer_activity_seconds_total", "group, activity", 'activity!~"idle|poll"'),
                    "{{group}} {{activity}}",
                ),
            ),
            (PIPELINE,),
            Unit.SHARE,
            stacked=True,
        ),
        Panel(
            "Rebalances and pauses",
            "Rebalances in five minutes, and consumers that pause because what follows is full.",
            "Rebalances that go on: processes come and go. A pause for minutes: handovers do not keep up.",
            (
                Query("sum by (group) (increase(tactful_consumer_rebalances_total[5m]))", "{{group}} rebalances"),
                Query("sum by (group, cause) (tactful_consumer_paused)", "{{group}} paused: {{cause}}"),
            ),
            (PIPELINE,),
            least=2,
        ),
    ),
)

DEAD_LETTERS = Row(
    "Dead letters",
    (
        Panel(
            "New dead letters",
            "Records that were put aside in the last ten minutes, by reason.",
            "More than one a minute. `failed` is a defect of ours.",
            (
                Query(
                    "sum by (topic, reason) (increase(tactful_dead_letter_records_total[10m]))", "{{topic}} {{reason}}"
                ),
            ),
            (DEAD_LETTER_PAGE,),
            alerts=("TactfulDeadLettersGrowing",),
            limits=(10,),
            stacked=True,
        ),
        Panel(
            "Open dead letters",
            "Dead letters that nobody has redriven or discarded.",
            "Above 0 for half a day. An opt-out may be among them: its customer gets no marketing meanwhile.",
            (
                Query(
                    "sum by (service, topic) (max by (job, service, topic) (tactful_dead_letter_unresolved_records))",
                    "{{service}} {{topic}}",
                ),
            ),
            (DEAD_LETTER_PAGE, PROMISES),
            alerts=("TactfulDeadLettersOld",),
            stacked=True,
        ),
        Panel(
            "Age of the oldest",
            "How long the oldest open dead letter has waited; 0 when there is none.",
            "Above four hours.",
            (
                Query(
                    age("tactful_dead_letter_oldest_timestamp_seconds", "service, topic"),
                    "{{service}} {{topic}}",
                ),
            ),
            (DEAD_LETTER_PAGE,),
            Unit.SECONDS,
            alerts=("TactfulDeadLettersOld",),
            limits=(4 * 3600,),
            least=60,
        ),
        Panel(
            "Closed",
            "Dead letters that were redriven or discarded in the chosen time.",
            "Many discarded ones: their events have no effect for ever.",
            (
                Query(
                    "sum by (service, state) (increase(tactful_dead_letter_closed_records_total[$__range]))",
                    "{{service}} {{state}}",
                ),
            ),
            (DEAD_LETTER_PAGE,),
            least=2,
            width=12,
        ),
        Panel(
            "Quarantines",
            "Customers who get no marketing because a record that may be an opt-out of theirs could not be read.",
            "`begun` without `ended`: customers wait for somebody to look at dead letters.",
            (
                Query(
                    "sum by (service, change) (increase(tactful_quarantines_total[$__range]))",
                    "{{service}} {{change}}",
                ),
            ),
            (DEAD_LETTER_PAGE, PROMISES),
            least=2,
            width=12,
        ),
    ),
)

OUT_TOPICS = Row(
    "Topics that Tactful writes, and the connection",
    (
        Panel(
            "Records published",
            "Records a second to the topics of Tactful.",
            "0 while messages are sent and a topic is set.",
            (Query(rate("tactful_out_topic_records_total", "topic"), "{{topic}}"),),
            (PIPELINE,),
            Unit.PER_SECOND,
            alerts=("TactfulOutTopicBehind",),
            least=0.1,
        ),
        Panel(
            "Behind with publishing",
            "The age of the oldest change that is not in its topic; 0 when there is none.",
            "Above 60 s.",
            (Query(age("tactful_out_topic_oldest_timestamp_seconds", "topic"), "{{topic}}"),),
            (PIPELINE,),
            Unit.SECONDS,
            alerts=("TactfulOutTopicBehind",),
            limits=(60,),
            least=60,
        ),
        Panel(
            "Servers that answer",
            "1 while Kafka, a database or another service answers a process, 0 while it does not.",
            "Any 0.",
            (Query("min by (job, dependency) (tactful_dependency_up)", "{{job}} {{dependency}}"),),
            (PIPELINE,),
            alerts=("TactfulKafkaUnreachable", "TactfulDatabaseUnreachable", "TactfulServiceUnreachable"),
            empty="`tactful dev` needs no server: it has no such series.",
            least=1,
        ),
        Panel(
            "Until a certificate ends",
            "The certificates that processes show to their callers, to Kafka and to their databases.",
            "Under 14 days: whoever checks it will refuse the process.",
            (
                Query(
                    "min by (job, use) (tactful_certificate_expiry_timestamp_seconds > 0) - time()",
                    "{{job}} {{use}}",
                ),
            ),
            (OVERVIEW,),
            Unit.SECONDS,
            alerts=("TactfulCredentialExpiring",),
            empty="No process has a certificate of its own.",
        ),
    ),
)

BOARD = Board(
    "tactful-kafka",
    "Kafka and dead letters",
    "How far consumers are in the log, what they spend their time on, what was put aside, and what Tactful publishes.",
    (CONSUMERS, DEAD_LETTERS, OUT_TOPICS, RUNTIME),
    {"topic": "tactful_consumer_records_total", "group": "tactful_consumer_records_total"},
)
