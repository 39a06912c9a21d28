"""What the chart makes of its values: valid for Kubernetes, and right for the product.

The golden files stand for the chart wherever helm is not installed; with helm, a test keeps them equal to it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import jsonschema_rs
import pytest
import yaml

from deploy.prometheus.rule import RuleOptions
from deploy.prometheus.rule_files import rule_files
from services.deployment_settings import DeploymentSettings
from services.kit.http.middleware import PROBED_ROUTES
from services.kit.http.server import create_server
from services.kit.runtime.service import DRAIN_SECONDS
from services.kit.runtime.settings import ENV_PREFIX, KEY_NAMES, known_variables
from services.orchestrator.app import GROUP, ROLES
from services.preference.consumer import CONSUMER_GROUP as PREFERENCE_GROUP
from services.suppression.app import CONSUMER_GROUP as SUPPRESSION_GROUP
from tests.support.command_line import run
from tests.support.helm_chart import CHART, INSTALLATIONS, golden
from tests.support.kubernetes_schemas import VERSIONS, problems

CALLED = {"api": 8000, "preference": 8001, "suppression": 8002}
"""Components that others call, and where."""
COMPONENTS = {*(role for role in ROLES if role != "all"), "preference", "suppression"}
CUSTOM = ("monitoring.coreos.com/v1", "keda.sh/v1alpha1")
WORKLOADS = ("Deployment", "Job")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())

every_installation = pytest.mark.parametrize("installation", INSTALLATIONS)


def of_kind(installation: str, *kinds: str) -> dict[str, dict[str, Any]]:
    """Name -> manifest."""
    return {each["metadata"]["name"]: each for each in golden(installation) if each["kind"] in kinds}


def pods(installation: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Component, the pod's specification, and that of its only container."""
    for workload in of_kind(installation, *WORKLOADS).values():
        template = workload["spec"]["template"]
        (container,) = template["spec"]["containers"]
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"], container


def deployments(installation: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Component -> the pod's specification, and that of its container."""
    return {component: (pod, box) for component, pod, box in pods(installation) if component in COMPONENTS}


@pytest.mark.integration
@every_installation
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(installation: str, version: str) -> None:
    wrong = {
        f"{each['kind']} {each['metadata']['name']}": problems(each, version)
        for each in golden(installation)
        if each["apiVersion"] not in CUSTOM
    }
    assert len(wrong) > 15
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.integration
def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    service = next(each for each in golden("small") if each["kind"] == "Service")
    assert problems({**service, "spec": {**service["spec"], "portz": []}}, VERSIONS[-1])


@every_installation
def test_there_is_one_deployment_a_role_and_service_and_one_upgrade_a_database(installation: str) -> None:
    assert set(deployments(installation)) == COMPONENTS
    jobs = of_kind(installation, "Job")
    assert set(jobs) == {f"tactful-upgrade-{name}" for name in ("orchestrator", "preference", "suppression")}
    for job in jobs.values():
        annotations = job["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert "hook-failed" not in annotations["helm.sh/hook-delete-policy"], "its log is needed then"


@every_installation
def test_every_command_parses(installation: str, capsys: pytest.CaptureFixture[str]) -> None:
    for component, _, container in pods(installation):
        python, m, module, *arguments = container["command"]
        assert (python, m) == ("python", "-m")
        if component not in COMPONENTS:
            assert module == "tactful" and run(*arguments, "--help").code == 0
            continue
        assert module == f"services.{component if component in CALLED and component != 'api' else 'orchestrator'}"
        assert (component in CALLED and component != "api") or arguments[-2:] == ["--role", component]
        assert arguments[:2] == ["--port", str(container["ports"][0]["containerPort"])]
        with pytest.raises(SystemExit) as ended:
            import_module(f"{module}.__main__").main([*arguments, "--help"])
        assert ended.value.code == 0
    assert "--port" in capsys.readouterr().out


@every_installation
def test_every_pod_is_restricted_and_knows_nothing_of_the_cluster(installation: str) -> None:
    for component, pod, container in pods(installation):
        assert pod["automountServiceAccountToken"] is False, component
        assert pod["enableServiceLinks"] is False, "a process refuses TACTFUL_API_SERVICE_HOST"
        identity = pod["securityContext"]
        assert identity["runAsNonRoot"] is True and identity["runAsUser"] == 10001
        assert identity["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


@every_installation
def test_a_pod_gets_one_secret_of_its_service_as_files_that_follow_it(installation: str) -> None:
    for component, pod, container in pods(installation):
        service = component.removeprefix("upgrade-")
        service = service if service in ("preference", "suppression") else "orchestrator"
        (volume,) = [each for each in pod["volumes"] if each["name"] == "secrets"]
        assert volume["secret"]["secretName"] == f"tactful-{service}"
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "secrets"]
        assert "subPath" not in mount and mount["readOnly"] is True
        assert "envFrom" not in container and all("valueFrom" not in each for each in container["env"])


@every_installation
def test_every_setting_is_known_and_no_secret(installation: str) -> None:
    for component, _, container in pods(installation):
        names = {each["name"]: each["value"] for each in container["env"]}
        assert names.keys() - known_variables(DeploymentSettings) == set()
        assert {f"{ENV_PREFIX}{key.upper()}" for key in KEY_NAMES} & names.keys() == set()
        assert len({"TACTFUL_CONFIG", "TACTFUL_SECRETS_DIR"} & names.keys()) == 1
        if component in COMPONENTS:
            scheme = "https" if installation == "production" else "http"
            for name, port in CALLED.items():
                service = "orchestrator" if name == "api" else name
                url = f"{scheme}://tactful-{name}:{port}"
                assert names[f"TACTFUL_SERVICES__{service.upper()}_URL"] == url


@every_installation
def test_probes_ask_what_the_services_answer(installation: str) -> None:
    for component, (_, container) in deployments(installation).items():
        paths = {}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = container[probe]["httpGet"]
            assert get["port"] == "http" and get["path"] in PROBED_ROUTES
            assert get["scheme"] == ("HTTPS" if installation == "production" else "HTTP")
            paths[probe] = get["path"]
        assert (paths["startupProbe"], paths["livenessProbe"]) == ("/startupz", "/livez")
        # What is called must take opt-outs while Kafka is lost, and /readyz fails in all pods then.
        assert paths["readinessProbe"] == ("/startupz" if component in CALLED else "/readyz")


@every_installation
def test_a_process_ends_before_it_is_killed(installation: str) -> None:
    requests = inspect.signature(create_server).parameters["drain"].default
    for pod, container in deployments(installation).values():
        command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
        assert command == "sleep"
        needed = int(seconds) + requests + 2 * DRAIN_SECONDS
        assert pod["terminationGracePeriodSeconds"] >= needed + 5


@every_installation
def test_services_and_policies_select_the_pods(installation: str) -> None:
    services = of_kind(installation, "Service")
    for component, (_, container) in deployments(installation).items():
        spec = services[f"tactful-{component}"]["spec"]
        assert spec["selector"]["app.kubernetes.io/component"] == component
        assert spec["ports"][0]["port"] == container["ports"][0]["containerPort"]
        assert (spec.get("clusterIP") == "None") is (component not in CALLED)
    policies = of_kind(installation, "NetworkPolicy")
    selected = {
        name: set(each["spec"]["podSelector"]["matchExpressions"][0]["values"]) for name, each in policies.items()
    }
    assert selected["tactful"] == COMPONENTS
    assert selected["tactful-providers"] == set(ROLES) - {"all"}
    assert selected["tactful-upgrade"] == {component for component, _, _ in pods(installation)} - COMPONENTS
    weights = [int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
               for each in (policies["tactful-upgrade"], *of_kind(installation, "Job").values())]  # fmt: skip
    assert weights[0] < min(weights[1:]), "or a closed cluster does not let the Jobs out"


def test_in_production_each_component_survives_a_node_and_grows() -> None:
    budgets = of_kind("production", "PodDisruptionBudget")
    scaled = of_kind("production", "HorizontalPodAutoscaler", "ScaledObject")
    for name, deployment in of_kind("production", "Deployment").items():
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {each["whenUnsatisfiable"] for each in spread} == {"DoNotSchedule"} and len(spread) == 2
        assert ("replicas" in deployment["spec"]) is (name not in scaled), "or each upgrade undoes the scaling"
    assert len(scaled) == 5


def test_scaling_by_lag_reads_the_groups_of_the_product() -> None:
    groups = {"decide": GROUP, "preference": PREFERENCE_GROUP, "suppression": SUPPRESSION_GROUP}
    scaled = of_kind("production", "ScaledObject")
    assert set(scaled) == {f"tactful-{name}" for name in groups}
    for component, group in groups.items():
        spec = scaled[f"tactful-{component}"]["spec"]
        (trigger,) = spec["triggers"]
        assert spec["minReplicaCount"] >= 1 and spec["scaleTargetRef"] == {"name": f"tactful-{component}"}
        assert trigger["metadata"]["consumerGroup"] == group
        assert trigger["metadata"]["limitToPartitionsWithLag"] == trigger["metadata"]["excludePersistentLag"] == "true"


def test_the_rules_are_those_of_prometheus_about_this_release_alone() -> None:
    (resource,) = of_kind("production", "PrometheusRule").values()
    jobs = f"tactful-({'|'.join(sorted(COMPONENTS))})"
    options = RuleOptions("https://messages.example.com/runbooks", "http://localhost:3000", "tactful", jobs)
    wanted = [group for text in rule_files(options).values() for group in yaml.safe_load(text)["groups"]]
    assert resource["spec"]["groups"] == wanted


def changed(path: str, value: object) -> dict[str, Any]:
    """The values of the small installation with one more."""
    values: dict[str, Any] = json.loads(json.dumps(DEFAULTS))
    values["image"]["repository"], values["publicUrl"] = "registry.example.com/tactful", "https://shop.example"
    values["kafka"]["bootstrap"] = "kafka:9092"
    *above, last = path.split(".")
    place = values
    for name in above:
        place = place[name]
    place[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "is_valid"),
    [
        ("image.repository", "registry.example.com/tactful", True),
        ("image.repository", "", False),
        ("image.tag", "latest", False),
        ("publicUrl", "", False),
        ("kafka.bootstrap", "kafka", False),
        ("settings", {"TACTFUL_REGION": "DE"}, True),
        ("settings", {"TACTFUL_BOUNCES__LIMIT": 0}, False),
        ("settings", {"TACTFUL_SERVICE_KEY": "x"}, False),
        ("settings", {"TACTFUL_DATABASE__URL": "x"}, False),
        ("components.api.settings", {"TACTFUL_KAFKA__PASSWORD": "x"}, False),
        ("components.decide.autoscaling.min", 0, False),
        ("components.decide.autoscalling", {}, False),
        ("components.decide.replicas", 0, False),
        ("secrets.form", "env", False),
        ("monitoring.labels", {"release": "stack"}, True),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else type(value).__name__,
)
def test_the_schema_of_values(path: str, value: object, is_valid: bool) -> None:
    assert jsonschema_rs.Draft7Validator(SCHEMA).is_valid(changed(path, value)) is is_valid


def test_defaults_lack_only_what_must_be_set() -> None:
    wrong = [
        "/".join(map(str, each.instance_path)) for each in jsonschema_rs.Draft7Validator(SCHEMA).iter_errors(DEFAULTS)
    ]
    assert set(wrong) == {"image/repository", "publicUrl", "kafka/bootstrap"}


def test_every_value_is_explained_and_every_part_has_a_default() -> None:
    def leaves(schema: dict[str, Any], values: Any, path: str) -> Iterator[str]:
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        for name, part in schema.get("properties", {}).items():
            if name != "global" and (not isinstance(values, dict) or name not in values):
                yield f"{path}.{name}"
            elif name != "global":
                yield from leaves(part, values[name], f"{path}.{name}")

    missing = [each for each in leaves(SCHEMA, DEFAULTS, "") if not re.search(r"resources\.(limits|requests)$", each)]
    assert missing == []
