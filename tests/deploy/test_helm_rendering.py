"""Helm itself renders the chart: what it makes, what it refuses.

Helm is in no package of Debian's and takes minutes to build, so it is not required in CI; the first test needs none.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command_line import run
from tests.support.helm_chart import (
    CHART,
    DIGEST,
    INSTALLATIONS,
    KUBERNETES,
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


PODS = {"name": "pods", "kind": "Pod", "singularName": "pod", "namespaced": True, "verbs": ["get", "list"]}


@contextmanager
def cluster(directory: Path, pods: list[dict[str, Any]]) -> Iterator[Path]:
    """An API server that knows pods and nothing else; yields the file by which helm finds it."""
    answers = {
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [PODS]},
        "/api/v1/namespaces/tactful/pods": {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods},
        "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            body = json.dumps(answer or {"kind": "Status", "status": "Failure", "code": 404}).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
            "users": [{"name": "nobody", "user": {}}],
            "current-context": "here",
        }
        path = directory / "kubeconfig"
        path.write_text(yaml.safe_dump(configuration))
        yield path
        server.shutdown()


def pod(image: str, phase: str = "Running", instance: str = "tactful") -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "tactful", "app.kubernetes.io/instance": instance}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tactful-api-1", "namespace": "tactful", "labels": labels},
        "spec": {"containers": [{"name": "api", "image": image}]},
        "status": {"phase": phase},
    }


OLD, NEW = "registry.example.com/tactful:0.0.9", "registry.example.com/tactful:0.1.0"


@pytest.mark.parametrize(
    ("pods", "arguments", "is_refused"),
    [
        ([pod(OLD)], ["--is-upgrade"], True),
        ([pod(NEW), pod(OLD, "Pending")], ["--is-upgrade"], True),
        ([pod(OLD)], ["--is-upgrade", "--set", "stopped=true"], True),
        ([pod(OLD)], ["--is-upgrade", "--set", "migrations.whileRunning=true"], False),
        ([pod(OLD, "Succeeded")], ["--is-upgrade"], False),
        ([pod(OLD, instance="another")], ["--is-upgrade"], False),
        ([pod(NEW)], ["--is-upgrade"], False),
        ([], ["--is-upgrade"], False),
        ([pod(OLD)], [], False),
    ],
    ids=["old", "old-pending", "old-stopped", "said-so", "old-ended", "another-release", "same", "none", "install"],
)
def test_an_upgrade_waits_until_no_pod_of_another_image_is_left(
    helm: str, tmp_path: Path, pods: list[dict[str, Any]], arguments: list[str], is_refused: bool
) -> None:
    with cluster(tmp_path, pods) as kubeconfig:
        done = render(helm, "small", "--dry-run=server", "--kubeconfig", str(kubeconfig), *arguments)
    assert (done.returncode == 1) is is_refused, done.stderr
    if is_refused:
        assert f"the pod tactful-api-1 still runs {OLD}" in done.stderr and "--set stopped=true" in done.stderr


def notes(helm: str, directory: Path, *arguments: str) -> str:
    """NOTES.txt as it is shown after an installation, which helm does without a cluster only for manifests."""
    copy = directory / "chart"
    shutil.copytree(CHART, copy)
    text = (copy / "templates/NOTES.txt").read_text("utf-8")
    (copy / "templates/NOTES.txt").unlink()
    (copy / "templates/_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
    (copy / "templates/notes.yaml").write_text('notes: |{{ include "notes" . | nindent 2 }}\n')
    values = ("--kube-version", KUBERNETES, "-f", str(values_file("small")), *arguments)
    done = run_helm(
        helm, "template", "shop", copy, "--namespace", "post", "--show-only", "templates/notes.yaml", *values
    )
    assert done.returncode == 0, done.stderr
    return str(next(yaml.safe_load_all(done.stdout))["notes"])


def test_the_notes_lead_to_the_first_event_with_commands_that_parse(helm: str, tmp_path: Path) -> None:
    text = notes(helm, tmp_path).replace("\\\n", " ")
    found = [line.partition("-m tactful ")[2].split() for line in text.splitlines() if "-m tactful " in line]
    assert [words[:2] for words in found] == [["doctor"], ["events", "send"]]
    for words in found:
        assert run(*words, "--help").code == 0
    assert "kubectl -n post exec deploy/shop-tactful-api --" in text
    assert "name your gateway and Prometheus in networkPolicy.from" in text and "Nobody is alerted" in text


def test_the_notes_of_a_stopped_installation_say_how_it_goes_on(helm: str, tmp_path: Path) -> None:
    text = notes(helm, tmp_path, "--set", "stopped=true")
    assert "no process runs" in text and "--set stopped=false" in text and "first event" not in text
