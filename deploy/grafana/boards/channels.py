"""What providers take, refuse and report, by channel and adapter."""

from deploy.grafana.board import (
    DECISIONS,
    PIPELINE,
    PROMISES,
    Board,
    Panel,
    PanelKind,
    Query,
    Row,
    Unit,
    console_link,
    quantile,
    rate,
)
from deploy.grafana.runtime_row import RUNTIME

ADAPTER_PAGE = console_link("adapters", "Adapters")
_NOTHING_SENT = "No message has been handed over in the last minutes."
_BAD = 'outcome=~"permanent|retryable|timeout|unknown"'
_ATTEMPTS = rate("tactful_delivery_attempts_total", "channel, adapter")

HANDOVERS = Row(
    "Handovers",
    (
        Panel(
            "Accepted",
            "Messages that providers took a second.",
            "An adapter falls to 0 while the others go on.",
            (
                Query(
                    rate("tactful_delivery_attempts_total", "channel, adapter", 'outcome="accepted"') + " > 0",
                    "{{channel}} {{adapter}}",
                ),
            ),
            (PIPELINE, ADAPTER_PAGE),
            Unit.PER_SECOND,
            empty=_NOTHING_SENT,
            stacked=True,
        ),
        Panel(
            "Not accepted",
            "Attempts a second that did not end well, by adapter and result.",
            "More than one a second and a tenth of all.",
            (
                Query(
                    rate("tactful_delivery_attempts_total", "adapter, outcome", 'outcome!="accepted"') + " > 0",
                    "{{adapter}} {{outcome}}",
                ),
            ),
            (ADAPTER_PAGE,),
            Unit.PER_SECOND,
            alerts=("TactfulAdapterErrorsHigh", "TactfulAdapterSLOBurn"),
            empty="Providers take everything.",
            stacked=True,
        ),
        Panel(
            "Share of failures",
            "The share of attempts that were refused, or whose result is unknown. Throttling does not count.",
            "Above 0.1.",
            (
                Query(
                    rate("tactful_delivery_attempts_total", "channel, adapter", _BAD) + f" / ({_ATTEMPTS} > 0)",
                    "{{channel}} {{adapter}}",
                ),
            ),
            (ADAPTER_PAGE,),
            Unit.SHARE,
            alerts=("TactfulAdapterErrorsHigh",),
            empty=_NOTHING_SENT,
            limits=(0.1,),
            least=0.2,
        ),
        Panel(
            "Duration of a handover",
            "How many batches of handovers took how long.",
            "A second band far above the first: the provider is slow now and then, or times out.",
            (
                Query(
                    "sum by (le) (increase(tactful_delivery_attempt_duration_seconds_bucket[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            (PIPELINE,),
            Unit.SECONDS,
            kind=PanelKind.HEAT_MAP,
            width=16,
        ),
        Panel(
            "Duration, slowest twentieth",
            "By adapter.",
            "It rises, or nears the adapter's timeout.",
            (Query(quantile(0.95, "tactful_delivery_attempt_duration_seconds", "adapter"), "{{adapter}}"),),
            (PIPELINE,),
            Unit.SECONDS,
        ),
    ),
)

LIMITS = Row(
    "What adapters do not get",
    (
        Panel(
            "Adapters that get nothing",
            "1 while an adapter fails or its account is refused.",
            "Any adapter at 1; nothing gets out if it is the only one of its channel.",
            (Query("max by (adapter) (tactful_adapter_circuit_open) > 0", "{{adapter}}"),),
            (ADAPTER_PAGE,),
            alerts=("TactfulAdapterCircuitOpen",),
            empty="All adapters get messages.",
            limits=(1,),
            least=1,
        ),
        Panel(
            "Ready messages that wait for an adapter",
            "Messages that wait because an adapter gets nothing, or no more than its rate, by cause.",
            "`account` or `failing`; `rate` that grows for hours: the account is too small.",
            (
                Query(
                    "max by (adapter, cause) (tactful_provider_throttle_messages) > 0",
                    "{{adapter}} {{cause}}",
                ),
            ),
            (PIPELINE,),
            alerts=("TactfulOutboxBacklog",),
            empty="No message waits for an adapter.",
            stacked=True,
        ),
        Panel(
            "What was wrong",
            "Refused attempts where the provider says what was wrong.",
            "`account`: the key, the sender or the contract. `content`: a campaign.",
            (Query(rate("tactful_delivery_faults_total", "adapter, fault") + " > 0", "{{adapter}} {{fault}}"),),
            (ADAPTER_PAGE,),
            Unit.PER_SECOND,
            alerts=("TactfulAdapterAccountRefused",),
            empty="Providers have refused nothing in the last minutes.",
            stacked=True,
        ),
        Panel(
            "Retries that wait longer",
            "Retries that were due and wait, because an adapter has had its budget of retries.",
            "Above 0: a provider fails for many messages.",
            (Query(rate("tactful_delivery_retries_postponed_total", "adapter") + " > 0", "{{adapter}}"),),
            (ADAPTER_PAGE,),
            Unit.PER_SECOND,
            empty="No adapter has used up its budget of retries.",
        ),
        Panel(
            "Changed secrets",
            "Secrets of adapters that changed in the chosen time, by whether they were taken.",
            "`refused`: the new secret cannot be used, and the old one may end soon.",
            (Query("sum by (outcome) (increase(tactful_adapter_secret_changes_total[$__range]))", "{{outcome}}"),),
            (ADAPTER_PAGE,),
            least=1,
        ),
        Panel(
            "Adapters in trial mode",
            "Adapters that reach the recipients of a list alone, and how many that are.",
            "Any row in production.",
            (Query("max by (adapter) (tactful_adapter_trial_recipients) > 0", ""),),
            (ADAPTER_PAGE,),
            kind=PanelKind.TABLE,
            empty="No adapter is in trial mode.",
        ),
    ),
)

REPORTS = Row(
    "What providers report",
    (
        Panel(
            "Bounces and complaints",
            "As a share of the messages that providers took.",
            "Bounces above 0.05, complaints above 0.001: providers close accounts for less.",
            tuple(
                Query(
                    f'sum by (adapter) (rate(tactful_deliveries_total{{kind="{kind}"}}[$__range])) / (sum by (adapter)'
                    f' (rate(tactful_delivery_attempts_total{{outcome="accepted"}}[$__range])) > 0)',
                    f"{{{{adapter}}}} {kind}",
                )
                for kind in ("bounced", "complained")
            ),
            (PROMISES,),
            Unit.SHARE,
            alerts=("TactfulBounceOrComplaintSpike",),
            empty=_NOTHING_SENT,
            limits=(0.05,),
            least=0.06,
        ),
        Panel(
            "Statements about messages",
            "Receipts a second, by kind.",
            "They fall to 0 while messages are accepted: receipts do not arrive.",
            (Query(rate("tactful_deliveries_total", "adapter, kind") + " > 0", "{{adapter}} {{kind}}"),),
            (PIPELINE,),
            Unit.PER_SECOND,
            alerts=("TactfulReceiptsMissing",),
            empty="No provider has said anything in the last minutes.",
            stacked=True,
        ),
        Panel(
            "From handover to receipt",
            "The slowest twentieth, by adapter.",
            "It rises: the provider is late, and campaigns that fall back wait longer.",
            (Query(quantile(0.95, "tactful_delivery_receipt_delay_seconds", "adapter"), "{{adapter}}"),),
            (PIPELINE,),
            Unit.SECONDS,
        ),
        Panel(
            "Receipts without effect",
            "Receipts that changed nothing, by adapter and cause.",
            "`refused`: a signature is wrong. `unknown_message`: another installation's receipts arrive here.",
            (
                Query(
                    rate("tactful_receipts_without_effect_total", "adapter, cause") + " > 0",
                    "{{adapter}} {{cause}}",
                ),
            ),
            (ADAPTER_PAGE,),
            Unit.PER_SECOND,
            alerts=("TactfulReceiptsRefused",),
            empty="Every receipt had an effect.",
        ),
        Panel(
            "Links and pictures",
            "Requests for links and pictures of our own in messages, by what became of them.",
            "`lost`: the database did not take them in time.",
            (Query(rate("tactful_link_visits_total", "link, end"), "{{link}} {{end}}"),),
            (PIPELINE,),
            Unit.PER_SECOND,
            least=0.1,
        ),
        Panel(
            "Contacts by stage",
            "Messages that providers took, by the stage of communication of their channel.",
            "`community` rises: a post is sent once for each event of many customers.",
            (Query(rate("tactful_contacts_total", "stage"), "{{stage}}"),),
            (DECISIONS,),
            Unit.PER_SECOND,
            stacked=True,
        ),
    ),
)

BOARD = Board(
    "tactful-channels",
    "Channels and adapters",
    "What providers take, refuse and report, by channel and adapter.",
    (HANDOVERS, LIMITS, REPORTS, RUNTIME),
    {"adapter": "tactful_adapter_circuit_open"},
)
