"""Objectives over 30 days, in the form of sloth: the share of bad events by window, and two alerts on its burn rate.

The critical alert: 14.4 times the budget's speed over 1 h and 5 min, or 6 times over 6 h and 30 min. The warning: three
times over 1 d and 2 h, or once over 3 d and 6 h. Neither fires for a handful of bad events, which are a large share
of a quiet night.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from deploy.prometheus.rule import AlertRule, RuleOptions

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
FEWEST_BAD_EVENTS: Final = 4
"""No more bad events than these in the longest window of an alert do not make it fire."""
BURNS: Final = (
    ("critical", "2m", "6h", ((14.4, "1h", "5m"), (6, "6h", "30m"))),
    ("warning", "1h", "3d", ((3, "1d", "2h"), (1, "3d", "6h"))),
)
"""Severity, how long it must last, the window whose bad events are counted; speed, long and short window."""
SPEED: Final = {
    "critical": "The error budget of 30 days will be used up within days: {{ $value | humanizePercentage }} are bad.",
    "warning": "The error budget of 30 days is being used up faster than it is replenished: "
    "{{ $value | humanizePercentage }} are bad.",
}


@dataclass(frozen=True)
class Objective:
    """What share of events may be bad. `bad` and `total` are counts of events by window, with `WINDOW` in its place."""

    slo: str
    alert: str
    budget: float
    summary: str
    bad: str
    total: str

    def records(self, options: RuleOptions) -> Iterator[dict[str, Any]]:
        """The recorded series: the share of each window, and how many bad events there were in two of them."""
        labels = {"slo": self.slo, **options.labels()}
        for window in WINDOWS:
            expr = f"({self.bad.replace('CHANGE', 'rate')}) / (({self.total.replace('CHANGE', 'rate')}) > 0)"
            yield {
                "record": f"slo:tactful_bad:ratio_rate{window}",
                "expr": options.select(expr.replace("WINDOW", window)),
                "labels": labels,
            }
        for window in ("6h", "3d"):
            yield {
                "record": f"slo:tactful_bad:increase{window}",
                "expr": options.select(self.bad.replace("CHANGE", "increase").replace("WINDOW", window)),
                "labels": labels,
            }

    def alerts(self, options: RuleOptions) -> Iterator[AlertRule]:
        """The critical one and the warning."""
        of = ", ".join(f'{name}="{value}"' for name, value in {"slo": self.slo, **options.labels()}.items())
        for severity, wait, counted, burns in BURNS:
            parts = [
                f"(slo:tactful_bad:ratio_rate{long}{{{of}}} > {speed} * {self.budget:g}"
                f" and slo:tactful_bad:ratio_rate{short}{{{of}}} > {speed} * {self.budget:g})"
                for speed, long, short in burns
            ]
            expr = f"({' or '.join(parts)}) and slo:tactful_bad:increase{counted}{{{of}}} > {FEWEST_BAD_EVENTS}"
            yield AlertRule(self.alert, severity, wait, self.summary, SPEED[severity], expr)


def _failed_requests(name: str, alert: str, budget: float, summary: str, matchers: str) -> Objective:
    """An objective of requests that must not be answered with 5xx."""
    counted = "http_server_request_duration_seconds_count"
    bad = f'sum(CHANGE({counted}{{{matchers}, http_response_status_code=~"5.."}}[WINDOW])) or vector(0)'
    return Objective(name, alert, budget, summary, bad, f"sum(CHANGE({counted}{{{matchers}}}[WINDOW]))")


_HANDOVER = "tactful_event_to_handover_seconds"
_ATTEMPTS = "sum by (channel) (CHANGE(tactful_delivery_attempts_total{outcome=~"
OBJECTIVES: Final = (
    Objective(
        "handover",
        "TactfulHandoverSLOBurn",
        0.005,
        "Transactional messages are handed over too late",
        f'sum(CHANGE({_HANDOVER}_count{{class="transactional"}}[WINDOW]))'
        f' - sum(CHANGE({_HANDOVER}_bucket{{class="transactional", le="30.0"}}[WINDOW]))',
        f'sum(CHANGE({_HANDOVER}_count{{class="transactional"}}[WINDOW]))',
    ),
    _failed_requests(
        "ingest",
        "TactfulIngestSLOBurn",
        0.001,
        "Events sent over HTTP fail",
        'http_route="/v1/events", http_request_method="POST"',
    ),
    _failed_requests(
        "preference_centre",
        "TactfulPreferenceCentreSLOBurn",
        0.0005,
        "Pages of the preference centre fail",
        'http_route=~"/[pu]/.*"',
    ),
    Objective(
        "adapter",
        "TactfulAdapterSLOBurn",
        0.01,
        "Providers of a channel do not take messages",
        f'{_ATTEMPTS}"retryable|timeout|unknown"}}[WINDOW]))',
        f'{_ATTEMPTS}"accepted|permanent|retryable|timeout|unknown"}}[WINDOW]))',
    ),
)
"""Transactional messages within 30 s 99.5 %, events over HTTP 99.9 %, pages of the preference centre 99.95 %, attempts
that a provider takes or refuses for good 99 % by channel: a refused address is no fault of the provider.
"""
