"""What an alert is made of, and what an installation may choose about all of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

from deploy.grafana.metric_labels import narrow
from deploy.prometheus.dashboard_links import dashboard_path

THRESHOLDS: dict[str, float] = {
    "adapter_errors_share": 0.1,
    "bounced_share": 0.05,
    "certificate_days": 14,
    "complained_share": 0.001,
    "consumer_behind_seconds": 300,
    "dead_letter_hours": 4,
    "dead_letters_a_minute": 1,
    "deferred_overdue_seconds": 300,
    "opt_out_seconds": 60,
    "outbox_seconds": 60,
    "pool_wait_seconds": 0.5,
    "release_factor": 2,
    "render_failures_share": 0.01,
    "rules_stale_seconds": 900,
    "suppression_share_jump": 0.2,
    "task_overdue_hours": 3,
    "volume_factor": 4,
}
"""Values that `--threshold NAME=VALUE` changes; `$name` in an expression."""
_MATCHER = re.compile(r'[a-z_]+=~?"[^"\\\n]*"')


class UnknownThreshold(ValueError):
    """There is no threshold of this name."""


@dataclass(frozen=True)
class RuleOptions:
    """What differs from one installation to another.

    `runbooks`, `dashboards`: addresses under which people reach the runbooks and Grafana. `namespace`: the label of the
    targets, and of what is recorded and fires; `job`: a regular expression; `selectors`: more matchers, such as
    `cluster="a"`. Empty ones select everything.
    """

    runbooks: str = "http://localhost:8000/runbooks"
    dashboards: str = "http://localhost:3000"
    namespace: str = ""
    job: str = ""
    selectors: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.thresholds) - set(THRESHOLDS)):
            raise UnknownThreshold(f"there is no threshold {unknown[0]}; there are {', '.join(THRESHOLDS)}")
        if wrong := [each for each in self.matchers() if not _MATCHER.fullmatch(each)]:
            raise ValueError(f'{wrong[0]} is no matcher: write label="value"')

    def matchers(self) -> list[str]:
        """What every selector of a series has."""
        own = [f'namespace="{self.namespace}"'] if self.namespace else []
        return [*own, *([f'job=~"{self.job}"'] if self.job else []), *self.selectors]

    def labels(self) -> dict[str, str]:
        """What recorded series and alerts have, so that two installations in one Prometheus are told apart."""
        return {"namespace": self.namespace} if self.namespace else {}

    def select(self, expr: str) -> str:
        """The expression with its thresholds, about the series of this installation alone."""
        values = {name: f"{value:g}" for name, value in (THRESHOLDS | dict(self.thresholds)).items()}
        matchers = self.matchers()
        return " ".join(narrow(Template(expr).substitute(values), lambda _: matchers).split())


@dataclass(frozen=True)
class AlertRule:
    """An alert. `expr` is PromQL with `$threshold`s and without an installation's selectors.

    `severity`: critical pages somebody, because customers are affected; warning and info wait for working hours.
    """

    name: str
    severity: str
    wait: str
    summary: str
    description: str
    expr: str

    def document(self, options: RuleOptions) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": options.select(self.expr),
            "for": self.wait,
            "labels": {"severity": self.severity, **options.labels()},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{options.runbooks.rstrip('/')}/{self.name.lower()}.md",
                "dashboard_url": f"{options.dashboards.rstrip('/')}{dashboard_path(self.name)}",
            },
        }
