"""Writes the rules: `python -m deploy.prometheus`, or with options those of an installation: `--help` lists them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.prometheus.rule import THRESHOLDS, RuleOptions
from deploy.prometheus.rule_files import CHART, rule_files

FOLDER = Path(__file__).parent / "rules"
CHART_FOLDER = FOLDER.parents[1] / "helm/tactful/rules"


def main(arguments: Sequence[str]) -> int:
    """Write the files. Without an argument those of the chart as well, which has its own values for the options.

    Returns the exit code: 2 for an option that cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m deploy.prometheus", description="Write the rules of Prometheus.")
    parser.add_argument("--runbooks", default=RuleOptions.runbooks, help="address of the runbooks")
    parser.add_argument("--dashboards", default=RuleOptions.dashboards, help="address of Grafana")
    parser.add_argument("--namespace", default="", help="the label `namespace` of the targets")
    parser.add_argument("--job", default="", help="a regular expression of the label `job`")
    parser.add_argument("--selector", action="append", default=[], help='one more matcher, such as cluster="a"')
    known = ", ".join(f"{name}={value:g}" for name, value in THRESHOLDS.items())
    parser.add_argument("--threshold", action="append", default=[], help=f"NAME=VALUE; the defaults are {known}")
    parser.add_argument("directory", nargs="?", type=Path, default=FOLDER)
    given = parser.parse_args(arguments)
    try:
        thresholds = {name: float(value) for name, _, value in (each.partition("=") for each in given.threshold)}
        options = RuleOptions(
            *(given.runbooks, given.dashboards, given.namespace, given.job, tuple(given.selector), thresholds)
        )
    except ValueError as error:
        parser.error(str(error))
    _write(given.directory, options)
    if not arguments:
        _write(CHART_FOLDER, CHART)
    return 0


def _write(folder: Path, options: RuleOptions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rule_files(options).items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
