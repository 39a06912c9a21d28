"""Whether the installation keeps its promises and customers get their messages, on one page."""

from deploy.grafana.board import (
    CHANNELS,
    DECISIONS,
    KAFKA,
    PIPELINE,
    PROMISES,
    Board,
    Panel,
    PanelKind,
    Query,
    Row,
    Unit,
    age,
    console_link,
    number,
    quantile,
    rate,
)
from deploy.grafana.runtime_row import RUNTIME

_BURNS = (("handover", "0.005"), ("ingest", "0.001"), ("preference_centre", "0.0005"))
"""Objective -> its budget: the share of bad events that it allows over 30 days."""

_ALL = rate("tactful_decisions_total", "")
_BY_OUTCOME = rate("tactful_decisions_total", "outcome")

PROMISE_ROW = Row(
    "Promises and error budgets",
    (
        number(
            "Alerts firing",
            "Alerts of Tactful that fire now, the watchdog apart.",
            "Above 0: open the table below it, then the runbook.",
            'count(ALERTS{alertstate="firing", alertname=~"Tactful.*", severity!="none"}) or vector(0)',
            (PROMISES,),
            limits=(1,),
        ),
        number(
            "Broken promises",
            "Messages of the chosen time that the auditor found sent against a rule.",
            "Anything but 0: a message went out that should not have.",
            "sum(increase(tactful_invariant_violations_total[$__range]))",
            (PROMISES,),
            alerts=("TactfulInvariantViolated",),
            limits=(1,),
        ),
        number(
            "Processes up",
            "The share of processes that answer Prometheus.",
            "Below 1: a process is down or cannot be reached.",
            "avg(up)",
            (PIPELINE,),
            alerts=("TactfulTargetDown",),
            unit=Unit.SHARE,
        ),
        number(
            "Transactional within 30 s",
            "The share of transactional messages handed over within 30 s, in the last hour. Promised: 99.5 %.",
            "Below 0.995 for long: the budget is used up.",
            '1 - slo:tactful_bad:ratio_rate1h{slo="handover"}',
            (PIPELINE,),
            alerts=("TactfulHandoverSLOBurn",),
            unit=Unit.SHARE,
        ),
        number(
            "Slowest opt-outs",
            "The time from an opt-out to its enforcement, of the slowest hundredth. Promised: 60 s.",
            "Above 60 s.",
            "histogram_quantile(0.99, sum by (le) (rate(tactful_optout_enforced_seconds_bucket[$__range])))",
            (PROMISES,),
            alerts=("TactfulOptOutSlow",),
            unit=Unit.SECONDS,
            limits=(30, 60),
        ),
        number(
            "Replies to decide",
            "Replies that may ask to stop, and that nobody has decided about.",
            "Above 0 for a day: messages to these addresses wait.",
            "max(tactful_undecided_replies)",
            (console_link("replies", "Replies"),),
            alerts=("TactfulReplyUndecided",),
            limits=(1,),
        ),
        Panel(
            "Speed at which error budgets burn",
            "Bad events of the last hour as a multiple of what the objective allows: at 1 the budget of 30 days lasts"
            " 30 days, at 14.4 two.",
            "Above 6 for half an hour, or above 14.4 for five minutes: somebody is paged.",
            tuple(Query(f'slo:tactful_bad:ratio_rate1h{{slo="{slo}"}} / {share}', slo) for slo, share in _BURNS),
            (PIPELINE, PROMISES),
            alerts=("TactfulHandoverSLOBurn", "TactfulIngestSLOBurn", "TactfulPreferenceCentreSLOBurn"),
            limits=(6, 14.4),
            least=16,
            width=12,
        ),
        Panel(
            "What fires",
            "Alerts that fire or are about to.",
            "Any row with severity critical.",
            (Query('ALERTS{alertname=~"Tactful.*", severity!="none"}', ""),),
            (PROMISES,),
            kind=PanelKind.TABLE,
            empty="Nothing fires, and nothing is about to.",
            width=12,
        ),
    ),
)

MESSAGE_ROW = Row(
    "Do customers get their messages?",
    (
        Panel(
            "From events to deliveries",
            "Events judged, decisions to send, messages that providers took, and deliveries that they confirmed.",
            "A line drops to 0 while the one before it goes on: that stage stands still.",
            (
                Query(rate("tactful_pipeline_events_total", "", 'outcome="judged"'), "events"),
                Query(rate("tactful_decisions_total", "", 'outcome="send"'), "decided to send"),
                Query(rate("tactful_delivery_attempts_total", "", 'outcome="accepted"'), "accepted by providers"),
                Query(rate("tactful_deliveries_total", "", 'kind="delivered"'), "delivered"),
            ),
            (PIPELINE, CHANNELS),
            Unit.PER_SECOND,
            alerts=("TactfulPipelineStalled", "TactfulSendVolumeAnomaly"),
            width=12,
        ),
        Panel(
            "From ready to accepted, slowest twentieth",
            "The time from a message being ready to its acceptance by a provider. Intended deferral does not count.",
            "transactional above 30 s.",
            (Query(quantile(0.95, "tactful_event_to_handover_seconds", "class"), "{{class}}"),),
            (PIPELINE, CHANNELS),
            Unit.SECONDS,
            alerts=("TactfulHandoverSLOBurn",),
            limits=(30,),
            width=6,
        ),
        Panel(
            "Messages that wait",
            "Messages ready for a provider, and messages deferred to a later time.",
            "Ready messages that only grow. Deferred ones grow at night and fall in the morning.",
            (
                Query("sum(max by (channel) (tactful_delivery_queue_messages))", "ready"),
                Query("sum(max by (channel, reason) (tactful_deferred_messages))", "deferred"),
            ),
            (PIPELINE,),
            alerts=("TactfulOutboxBacklog", "TactfulDeferredOverdue"),
            width=6,
        ),
    ),
)

REASON_ROW = Row(
    "Why not?",
    (
        Panel(
            "Reasons not to send",
            "Decisions that do not send now, by their reason. Most are what policy and customers want.",
            "One reason jumps after a deployment or an activation; any `fail`.",
            (Query(rate("tactful_decisions_total", "reason", 'outcome!="send"') + " > 0", "{{reason}}"),),
            (DECISIONS, console_link("decisions", "Decisions")),
            Unit.PER_SECOND,
            alerts=("TactfulSuppressionShareJump", "TactfulPolicyFailingClosed"),
            empty="Every decision of the chosen time sends.",
            stacked=True,
            width=16,
        ),
        Panel(
            "Outcomes",
            "The share of each outcome in all decisions.",
            "The share of suppress 0.2 above that of the week, or any fail.",
            (
                Query(
                    f"{_BY_OUTCOME} / on() group_left() ({_ALL} > 0)",
                    "{{outcome}}",
                ),
            ),
            (DECISIONS,),
            Unit.SHARE,
            alerts=("TactfulSuppressionShareJump",),
            stacked=True,
        ),
    ),
)

HOLD_ROW = Row(
    "Holds, reviews and versions",
    (
        Panel(
            "Holds in force",
            "Holds that defer or drop messages.",
            "A hold that nobody remembers: it is in force for half a day.",
            (Query("max by (mode) (tactful_holds_active)", "{{mode}}"),),
            (console_link("holds", "Holds"), DECISIONS),
            alerts=("TactfulHoldForgotten",),
            least=2,
        ),
        Panel(
            "Reviews that wait",
            "Campaigns and versions of the policy that wait for a second person.",
            "A line that does not fall within a working day.",
            (Query("max by (kind) (tactful_approvals_pending)", "{{kind}}"),),
            (DECISIONS,),
            least=2,
        ),
        Panel(
            "Versions that run",
            "Processes by version, commit and step of their databases' schema.",
            "More than one row for longer than a deployment takes.",
            (Query("count by (job, version, commit, schema_revision) (tactful_build_info)", ""),),
            (PIPELINE,),
            kind=PanelKind.TABLE,
        ),
    ),
)

SATURATION_ROW = Row(
    "Saturation",
    (
        Panel(
            "Behind the log",
            "The age of the oldest event that a consumer has not processed; 0 when it has caught up.",
            "Above 300 s.",
            (Query(age("tactful_consumer_next_record_timestamp_seconds", "group", "max"), "{{group}}"),),
            (KAFKA,),
            Unit.SECONDS,
            alerts=("TactfulConsumerBehind", "TactfulConsumerLagGrowing"),
            limits=(60, 300),
            least=60,
        ),
        Panel(
            "Consumers at work",
            "The share of its time in which a consumer does not wait for events.",
            "Near 1 for long: it cannot take more. Add processes, up to the number of partitions.",
            (
                Query(
                    '1 - sum by (group) (rate(tactful_consumer_activity_seconds_total{activity=~"idle|poll"}'
                    "[$__rate_interval])) / sum by (group) (rate(tactful_consumer_activity_seconds_total"
                    "[$__rate_interval]))",
                    "{{group}}",
                ),
            ),
            (KAFKA, PIPELINE),
            Unit.SHARE,
            limits=(0.7, 0.9),
            least=1,
        ),
        Panel(
            "Adapters that get nothing",
            "Adapters that fail or whose account is refused, by adapter.",
            "Any adapter at 1.",
            (Query("max by (adapter) (tactful_adapter_circuit_open) > 0", "{{adapter}}"),),
            (CHANNELS, console_link("adapters", "Adapters")),
            alerts=("TactfulAdapterCircuitOpen", "TactfulAdapterAccountRefused"),
            empty="All adapters get messages.",
            limits=(1,),
            least=1,
        ),
    ),
)

BOARD = Board(
    "tactful-overview",
    "Overview",
    "Are the promises kept, do customers get their messages, and if not, why not? Start here when an alert fires.",
    (PROMISE_ROW, MESSAGE_ROW, REASON_ROW, HOLD_ROW, SATURATION_ROW, RUNTIME),
)
