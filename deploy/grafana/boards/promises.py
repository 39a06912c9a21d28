"""Whether Tactful keeps what it promises to customers: what must never happen, and how fast their wishes count."""

from deploy.grafana.board import (
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
    number,
    quantile,
    rate,
)
from deploy.grafana.runtime_row import RUNTIME

WHY_PAGE = console_link("find", "Find")
SUPPRESSION_PAGE = console_link("suppressions", "Do not contact")
_CENTRE = 'http_route=~"/[pu]/.*"'
_NO_VISIT = "Nobody has opened a preference or unsubscribe link since the process started."

NEVER = Row(
    "What must not happen",
    (
        number(
            "Broken promises",
            "Messages of the chosen time that the auditor found sent against a rule.",
            "Anything but 0.",
            "sum(increase(tactful_invariant_violations_total[$__range]))",
            (WHY_PAGE,),
            alerts=("TactfulInvariantViolated",),
            limits=(1,),
        ),
        number(
            "Sent without a check",
            "Rules that could not be evaluated, where the policy let the message pass.",
            "Anything but 0.",
            'sum(increase(tactful_policy_check_errors_total{mode="fail_open"}[$__range]))',
            (DECISIONS,),
            alerts=("TactfulPolicyFailedOpen",),
            limits=(1,),
        ),
        number(
            "Opt-outs that took over a day",
            "Opt-outs of the chosen time that were enforced after more than 24 hours.",
            "Anything but 0.",
            "sum(increase(tactful_optout_enforced_seconds_count[$__range])) -"
            ' sum(increase(tactful_optout_enforced_seconds_bucket{le="86400.0"}[$__range]))',
            (WHY_PAGE,),
            alerts=("TactfulOptOutBreach",),
            limits=(1,),
        ),
        number(
            "Handovers audited",
            "Messages of the chosen time that the auditor has checked.",
            "0 while messages are sent: nobody would know of a broken promise.",
            "sum(increase(tactful_audited_handovers_total[$__range]))",
            (OVERVIEW,),
        ),
        number(
            "Auditor behind",
            "The age of the last handover that the auditor has checked. Without messages it rises, and means nothing.",
            "It rises while messages are sent.",
            "time() - max(tactful_audit_reached_timestamp_seconds > 0)",
            (OVERVIEW,),
            unit=Unit.SECONDS,
            empty="No message has been handed over yet.",
        ),
        number(
            "Replies to decide",
            "Replies that may ask to stop, and that nobody has decided about.",
            "Above 0 for a day.",
            "max(tactful_undecided_replies)",
            (console_link("replies", "Replies"),),
            alerts=("TactfulReplyUndecided",),
            limits=(1,),
        ),
        Panel(
            "Broken promises, by kind",
            "What the auditor found in five minutes.",
            "Anything above 0: stop the channel, then look for the decision.",
            (Query("sum by (invariant) (increase(tactful_invariant_violations_total[5m]))", "{{invariant}}"),),
            (WHY_PAGE, console_link("holds", "Holds")),
            alerts=("TactfulInvariantViolated",),
            limits=(1,),
            least=1,
            width=12,
        ),
        Panel(
            "Audited handovers",
            "Handovers that the auditor checks a second.",
            "0 while messages are sent.",
            (Query(rate("tactful_audited_handovers_total", ""), "audited"),),
            (OVERVIEW,),
            Unit.PER_SECOND,
            width=12,
        ),
    ),
)

OPT_OUTS = Row(
    "Opt-outs and choices",
    (
        Panel(
            "From an opt-out to its enforcement",
            "Half and the slowest hundredth.",
            "The slowest hundredth above 60 s.",
            tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate(tactful_optout_enforced_seconds_bucket[10m])))",
                    name,
                )
                for share, name in ((0.5, "half"), (0.99, "slowest hundredth"))
            ),
            (WHY_PAGE,),
            Unit.SECONDS,
            alerts=("TactfulOptOutSlow",),
            limits=(60,),
        ),
        Panel(
            "Opt-outs enforced",
            "By where they came from.",
            "A peak: customers leave after a campaign.",
            (Query(rate("tactful_optout_enforced_seconds_count", "source"), "{{source}}"),),
            (DECISIONS,),
            Unit.PER_SECOND,
            stacked=True,
            least=0.1,
        ),
        Panel(
            "Answered before they were enforced",
            "Entries and holds whose effect on handovers in progress was unknown when they were answered.",
            "Above 0 for long: a service does not answer another one.",
            (Query("sum by (source) (increase(tactful_optout_unenforced_total[5m]))", "{{source}}"),),
            (OVERVIEW,),
            alerts=("TactfulServiceUnreachable",),
            least=1,
        ),
        Panel(
            "Changes of preferences",
            "By where they came from.",
            "`centre` falls to 0 while mails go out: the links do not work.",
            (Query(rate("tactful_preference_changes_total", "source"), "{{source}}"),),
            (console_link("customers", "Customers"),),
            Unit.PER_SECOND,
            alerts=("TactfulPreferenceCentreSLOBurn",),
            stacked=True,
            least=0.1,
        ),
        Panel(
            "Changes of preferences, by result",
            "What became of them.",
            "`conflict`: two events with one id; only the first counts.",
            (Query(rate("tactful_preference_changes_total", "action"), "{{action}}"),),
            (console_link("customers", "Customers"),),
            Unit.PER_SECOND,
            alerts=("TactfulEventIdReused",),
            stacked=True,
            least=0.1,
        ),
        Panel(
            "Age of the oldest undecided reply",
            "0 when there is none. Messages to its address wait, and may expire.",
            "Above a day.",
            (Query(age("tactful_undecided_reply_oldest_timestamp_seconds", ""), "oldest"),),
            (console_link("replies", "Replies"),),
            Unit.SECONDS,
            alerts=("TactfulReplyUndecided",),
            limits=(86_400,),
            least=60,
        ),
    ),
)

CENTRE = Row(
    "Preference centre",
    (
        Panel(
            "Visits",
            "Requests a second to the pages behind preference and unsubscribe links, by status.",
            "Any 5xx: customers cannot stop messages.",
            (
                Query(
                    rate("http_server_request_duration_seconds_count", "http_response_status_code", _CENTRE),
                    "{{http_response_status_code}}",
                ),
            ),
            (OVERVIEW,),
            Unit.PER_SECOND,
            alerts=("TactfulPreferenceCentreSLOBurn",),
            empty=_NO_VISIT,
            stacked=True,
        ),
        Panel(
            "Share of errors",
            "The share of visits of the last hour that failed. Promised: less than 0.0005.",
            "Above 0.0005.",
            (Query('slo:tactful_bad:ratio_rate1h{slo="preference_centre"}', "errors"),),
            (OVERVIEW,),
            Unit.SHARE,
            alerts=("TactfulPreferenceCentreSLOBurn",),
            empty=_NO_VISIT,
            limits=(0.0005,),
            least=0.001,
        ),
        Panel(
            "Duration of a visit",
            "Half and the slowest hundredth.",
            "The slowest hundredth above 1 s.",
            tuple(
                Query(quantile(share, "http_server_request_duration_seconds", "", _CENTRE), name)
                for share, name in ((0.5, "half"), (0.99, "slowest hundredth"))
            ),
            (OVERVIEW,),
            Unit.SECONDS,
            empty=_NO_VISIT,
        ),
    ),
)

DO_NOT_CONTACT = Row(
    "Do-not-contact entries and retention",
    (
        Panel(
            "Entries",
            "Live entries, by list.",
            "`hard_bounce` or `spam_complaint` rises fast: addresses are bad. A list falls, and nobody removed any.",
            (Query("sum by (list) (max by (job, list) (tactful_suppression_entries))", "{{list}}"),),
            (SUPPRESSION_PAGE,),
            stacked=True,
        ),
        Panel(
            "Events about entries",
            "Events that may add or end entries, by result.",
            "`unreadable`: a refusal may be lost; its customer gets no marketing meanwhile.",
            (Query(rate("tactful_suppression_events_total", "result"), "{{result}}"),),
            (KAFKA, SUPPRESSION_PAGE),
            Unit.PER_SECOND,
            alerts=("TactfulDeadLettersGrowing", "TactfulEventIdReused"),
            stacked=True,
        ),
        Panel(
            "Rows of imports",
            "Rows of imports of entries in the chosen time, by result.",
            "`refused`: addresses that were not taken may still be contacted.",
            (Query("sum by (result) (increase(tactful_suppression_imported_rows_total[$__range]))", "{{result}}"),),
            (SUPPRESSION_PAGE,),
            least=2,
        ),
        Panel(
            "Kept for too long",
            "By how much the oldest row has outlived its retention, by service and kind.",
            "Above two days.",
            (Query("max by (service, kind) (tactful_retention_overdue_seconds)", "{{service}} {{kind}}"),),
            (OVERVIEW,),
            Unit.SECONDS,
            alerts=("TactfulRetentionBehind",),
            limits=(172_800,),
            least=3600,
            width=12,
        ),
        Panel(
            "Removed for its age",
            "Rows removed or stripped in the chosen time, by service and kind.",
            "0 for days where there are rows: the job does not run.",
            (
                Query(
                    "sum by (service, kind) (increase(tactful_expired_rows_total[$__range]))",
                    "{{service}} {{kind}}",
                ),
            ),
            (OVERVIEW,),
            alerts=("TactfulTaskOverdue",),
            least=2,
            width=12,
        ),
        Panel(
            "Entries of the audit log that were not written",
            "In the chosen time, by job.",
            "Any: people's requests are refused, but for what only forbids messages.",
            (Query("sum by (job) (increase(tactful_audit_write_failures_total[$__range]))", "{{job}}"),),
            (OVERVIEW,),
            alerts=("TactfulAuditWriteFailing",),
            least=1,
            width=12,
        ),
    ),
)

BOARD = Board(
    "tactful-promises",
    "Promises",
    "What must never happen, how fast opt-outs count, whether customers reach their pages, whom nobody may contact.",
    (NEVER, OPT_OUTS, CENTRE, DO_NOT_CONTACT, RUNTIME),
)
