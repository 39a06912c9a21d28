"""The text of the rule files, for Prometheus and for the chart."""

from typing import Any, Final

import yaml

from deploy.prometheus.groups import alert_groups
from deploy.prometheus.objectives import OBJECTIVES
from deploy.prometheus.rule import RuleOptions

HEAD: Final = "# Written by `python -m deploy.prometheus` (make rules): change deploy/prometheus/*.py, not this file.\n"
CHART: Final = RuleOptions("@RUNBOOKS@", "@DASHBOARDS@", "@NAMESPACE@", "@JOB@")
"""What the chart's template puts a release's values in place of."""


class _Folded(str):
    """An expression, which is written over several lines."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Folded, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">"))


def rule_files(options: RuleOptions) -> dict[str, str]:
    """File name -> text."""
    recorded = [rule for objective in OBJECTIVES for rule in objective.records(options)]
    burning = [alert.document(options) for objective in OBJECTIVES for alert in objective.alerts(options)]
    groups = {"objectives": burning} | {
        name: [alert.document(options) for alert in alerts] for name, alerts in alert_groups().items()
    }
    return {
        "alerts.yml": _text([_group(f"tactful-{name}-alerts", rules) for name, rules in groups.items()]),
        "objectives.yml": _text([_group("tactful-objectives", recorded)]),
    }


def _group(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "rules": [{**rule, "expr": _Folded(rule["expr"])} for rule in rules]}


def _text(groups: list[dict[str, Any]]) -> str:
    written = yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return HEAD + written
