"""What is decided, and for which reasons; what decisions rest on."""

from deploy.grafana.board import (
    CHANNELS,
    OVERVIEW,
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
    quantile,
    rate,
)
from deploy.grafana.runtime_row import RUNTIME

DECISION_PAGE = console_link("decisions", "Decisions")
_NOT_SENT = 'outcome!="send"'

OUTCOMES = Row(
    "Outcomes and reasons",
    (
        Panel(
            "Outcomes",
            "Decisions a second, by outcome.",
            "`fail` above 0; all fall to 0 while events arrive.",
            (Query(rate("tactful_decisions_total", "outcome"), "{{outcome}}"),),
            (PIPELINE, DECISION_PAGE),
            Unit.PER_SECOND,
            alerts=("TactfulSendVolumeAnomaly",),
            stacked=True,
        ),
        Panel(
            "Reasons not to send",
            "Decisions that do not send now, by reason.",
            "One reason jumps after a deployment or an activation of the policy.",
            (Query(rate("tactful_decisions_total", "reason", _NOT_SENT) + " > 0", "{{reason}}"),),
            (DECISION_PAGE,),
            Unit.PER_SECOND,
            alerts=("TactfulSuppressionShareJump", "TactfulPolicyFailingClosed"),
            empty="Every decision of the chosen time sends.",
            stacked=True,
            width=16,
        ),
        Panel(
            "Sent, by channel",
            "Decisions to send a second, by channel.",
            "A channel falls to 0, or is four times what it was a week ago.",
            (Query(rate("tactful_decisions_total", "channel", 'outcome="send"'), "{{channel}}"),),
            (CHANNELS, DECISION_PAGE),
            Unit.PER_SECOND,
            alerts=("TactfulSendVolumeAnomaly",),
            stacked=True,
        ),
        Panel(
            "Reasons of the chosen time",
            "How often each reason was given, with its outcome and class.",
            "Reasons that nobody expects; any row with the outcome fail.",
            (
                Query(
                    "topk(25, sum by (outcome, reason, class) (increase(tactful_decisions_total[$__range])) > 0)",
                    "",
                ),
            ),
            (DECISION_PAGE,),
            kind=PanelKind.TABLE,
            alerts=("TactfulSuppressionShareJump",),
            width=16,
        ),
    ),
)

CHECKS = Row(
    "Checks and limits",
    (
        Panel(
            "Rules that could not be evaluated",
            "By rule and by what became of the message: stopped (fail_closed) or let through (fail_open).",
            "Anything above 0.",
            (Query(rate("tactful_policy_check_errors_total", "check, mode") + " > 0", "{{check}} {{mode}}"),),
            (PROMISES,),
            Unit.PER_SECOND,
            alerts=("TactfulPolicyFailingClosed", "TactfulPolicyFailedOpen"),
            empty="Every rule could be evaluated.",
        ),
        Panel(
            "Duration of a batch of decisions",
            "Half and the slowest hundredth of the batches.",
            "Above 1 s: a database or another service answers slowly.",
            tuple(
                Query(quantile(share, "tactful_decision_duration_seconds", ""), name)
                for share, name in ((0.5, "half"), (0.99, "slowest hundredth"))
            ),
            (PIPELINE,),
            Unit.SECONDS,
        ),
        Panel(
            "Stopped by a cap",
            "Messages that a frequency cap or a least gap stopped or deferred.",
            "It jumps: two campaigns compete for the same customers.",
            (Query(rate("tactful_cap_hits_total", "rule, channel") + " > 0", "{{rule}} {{channel}}"),),
            (DECISION_PAGE,),
            Unit.PER_SECOND,
            empty="No customer has reached a cap in the last minutes.",
            stacked=True,
        ),
        Panel(
            "Stopped after their claim",
            "Messages that the recheck before the handover stopped: the customer or an operator changed something.",
            "A rise without an opt-out, a hold or an activation that explains it.",
            (Query(rate("tactful_gate_refusals_total", "class"), "{{class}}"),),
            (PROMISES,),
            Unit.PER_SECOND,
            least=0.1,
        ),
        Panel(
            "Duplicates caught",
            "Events and changes that came again and had no effect, by stage.",
            "A rise that stays: a producer sends everything twice.",
            (Query(rate("tactful_duplicates_prevented_total", "stage"), "{{stage}}"),),
            (PIPELINE,),
            Unit.PER_SECOND,
            least=0.1,
        ),
        Panel(
            "Situations",
            "Situations of customers that events opened and closed, such as an open complaint.",
            "`ignored` above 0: something closes what was never opened.",
            (Query(rate("tactful_situations_total", "action"), "{{action}}"),),
            (DECISION_PAGE,),
            Unit.PER_SECOND,
        ),
    ),
)

SHADOW = Row(
    "Versions in shadow",
    (
        Panel(
            "Shadow and live",
            "Decisions of versions in shadow, by whether the live version decides the same.",
            "More `no` than the change is meant to make.",
            (Query(rate("tactful_shadow_decisions_total", "agrees"), "{{agrees}}"),),
            (DECISION_PAGE,),
            Unit.PER_SECOND,
            stacked=True,
            least=0.1,
        ),
        Panel(
            "Outcomes in shadow that differ",
            "What a version in shadow decides where the live one decides something else.",
            "`send` where nothing was sent so far: the new version contacts more customers.",
            (Query(rate("tactful_shadow_decisions_total", "outcome", 'agrees="no"'), "{{outcome}}"),),
            (DECISION_PAGE,),
            Unit.PER_SECOND,
            least=0.1,
        ),
        Panel(
            "Events not evaluated in shadow",
            "By cause: an error, the limit of a version, or not kept.",
            "`error` above 0: the new version fails on real events.",
            (Query(rate("tactful_shadow_skipped_total", "cause"), "{{cause}}"),),
            (DECISION_PAGE,),
            Unit.PER_SECOND,
            least=0.1,
        ),
    ),
)

DOCUMENTS = Row(
    "Campaigns, policy and holds",
    (
        Panel(
            "Age of what decisions rest on",
            "Since when a process has not loaded campaigns, policy, templates or suppressions, or found them current.",
            "Above 900 s: it decides with old rules.",
            (Query(age("tactful_rules_loaded_timestamp_seconds", "job, kind"), "{{job}} {{kind}}"),),
            (PIPELINE,),
            Unit.SECONDS,
            alerts=("TactfulRulesStale",),
            limits=(900,),
        ),
        Panel(
            "Reviews that wait",
            "Campaigns and versions of the policy that wait for a second person.",
            "A line that does not fall within a working day.",
            (Query("max by (kind) (tactful_approvals_pending)", "{{kind}}"),),
            (OVERVIEW,),
            least=2,
        ),
        Panel(
            "Released from holds",
            "Messages released a second, because their hold was lifted or ended.",
            "A peak that providers cannot take: see what waits for handover.",
            (Query(rate("tactful_hold_released_total", "way"), "{{way}}"),),
            (console_link("holds", "Holds"), PIPELINE),
            Unit.PER_SECOND,
            alerts=("TactfulHoldForgotten",),
            least=0.1,
        ),
    ),
)

BOARD = Board(
    "tactful-decisions",
    "Decisions",
    "What is decided, for which reasons, how long it takes, and what versions in shadow would decide instead.",
    (OUTCOMES, CHECKS, SHADOW, DOCUMENTS, RUNTIME),
)
