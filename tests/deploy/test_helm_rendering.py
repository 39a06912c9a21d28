"""Helm itself renders the chart: what it makes, what it refuses.

Helm is in no package of Debian's and takes minutes to build, so it is not required in CI; the first test needs none.
"""

from __future__ import annotations

import pytest

from tests.support.helm_chart import (
    CHART,
    DIGEST,
    INSTALLATIONS,
    chart_digest,
    golden_file,
    helm_program,
    render,
    run_helm,
    values_file,
)


def test_the_golden_files_were_made_of_this_chart() -> None:
    assert DIGEST.read_text().strip() == chart_digest(), "python -m tests.support.helm_chart (docs/kubernetes.md)"


@pytest.fixture
def helm() -> str:
    """The program. Skips, in CI as well, where it is not installed."""
    program = helm_program()
    if program is None:
        pytest.skip("helm is not installed; the golden files stand for it, and their digest says that they are current")
    return program


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_helm_makes_the_golden_files_and_finds_nothing_to_criticise(helm: str, installation: str) -> None:
    done = render(helm, installation)
    assert (done.returncode, done.stdout) == (0, golden_file(installation).read_text("utf-8")), done.stderr
    linted = run_helm(helm, "lint", CHART, "--strict", "-f", values_file(installation))
    assert linted.returncode == 0 and "[WARNING]" not in linted.stdout, linted.stdout


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("image.tag=latest", "image/tag"),
        ("publicUrl=", "publicUrl"),
        ("components.api.replica=3", "replica"),
        ("settings.TACTFUL_SERVICE_KEY=x", "TACTFUL_SERVICE_KEY"),
        ("components.api.autoscaling.kind=keda", "api does not read Kafka, so it has no lag: use hpa or none"),
        ("components.decide.autoscaling.min=5", "components.decide.autoscaling: min 5 is above max 4"),
        ("drain.gracePeriodSeconds=20", "must be at least preStopSeconds + 20"),
        ("monitoring.dashboards.enabled=true", "this chart has no dashboards"),
    ],
    ids=lambda text: text.partition("=")[0],
)
def test_what_cannot_work_is_refused_with_its_reason(helm: str, value: str, reason: str) -> None:
    done = render(helm, "small", "--set", value)
    assert done.returncode == 1 and done.stdout == ""
    assert reason in done.stderr


def test_without_values_helm_names_what_must_be_set(helm: str) -> None:
    refused = run_helm(helm, "template", "tactful", CHART)
    assert refused.returncode == 1
    for name in ("repository", "publicUrl", "bootstrap"):
        assert name in refused.stderr


def test_stopped_leaves_everything_but_processes(helm: str) -> None:
    text = render(helm, "production", "--set", "stopped=true").stdout
    assert text.count("\n  replicas: 0\n") == text.count("\nkind: Deployment\n") == 6
    assert "HorizontalPodAutoscaler" not in text and "ScaledObject" not in text and "kind: Secret\n" not in text


def test_a_component_wins_over_what_all_are_given_also_with_nothing(helm: str) -> None:
    given = ("settings.TACTFUL_REGION=DE", "components.api.settings.TACTFUL_REGION=")
    text = render(helm, "small", *(word for each in given for word in ("--set-string", each))).stdout
    assert text.count('{name: TACTFUL_REGION, value: "DE"}') == 5
    assert text.count('{name: TACTFUL_REGION, value: ""}') == 1
