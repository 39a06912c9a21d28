"""What can be known of the image and the composition without a container engine."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
import yaml

from services.deployment_settings import DeploymentSettings
from services.kit.runtime import health_check
from services.kit.runtime.settings import ENV_PREFIX, known_variables
from tests.support.command_line import run
from tests.support.servers import ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("orchestrator", "preference", "suppression")
PORTS = {"orchestrator": "8000", "preference": "8001", "suppression": "8002"}


def instructions(word: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in joined.splitlines() if line.startswith(f"{word} ")]


def test_the_image_stands_on_a_plain_base_and_is_built_from_the_lock() -> None:
    assert {line.split()[0].partition("@")[0] for line in instructions("FROM")} == {"python:3.11-slim"}
    assert instructions("ADD") == []
    (install,) = [line for line in instructions("RUN") if "pip install" in line]
    assert "--require-hashes" in install and "-r requirements.lock" in install


def test_the_image_runs_as_nobody_special_and_says_when_it_is_ready() -> None:
    assert instructions("USER") == ["tactful"]
    assert DOCKERFILE.index("USER tactful") < DOCKERFILE.index("\nCMD ")
    (check,) = instructions("HEALTHCHECK")
    assert f"-m {health_check.__name__} $PORT" in check


def test_the_image_holds_no_secret_and_only_our_packages() -> None:
    assert not re.search(r"(?i)(password|secret|_key|token)\s*=", DOCKERFILE)
    copied = [line.split()[0] for line in instructions("COPY") if not line.startswith("--from")]
    assert copied == ["requirements.lock", "schemas", "services", "tactful", "deploy/runbooks"]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored and allowed == set(copied)


def test_nobody_uses_a_floating_image() -> None:
    images = [service["image"] for service in SERVICES.values() if service["image"] != "tactful"]
    assert all(re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)*(@sha256:[0-9a-f]{64})?", image) for image in images), images


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_healthy_or_ends(name: str) -> None:
    service = SERVICES[name]
    check = service.get("healthcheck")
    if name in OURS:
        assert check is None, "the image's own check"
        assert service["environment"]["PORT"] == PORTS[name]
    elif name.startswith("upgrade-"):
        assert check == {"disable": True} and service["restart"] == "no"
    else:
        assert check["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_needs_is_there_and_is_waited_for(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert needed in SERVICES
        ends = needed.startswith("upgrade-")
        assert how == {"condition": "service_completed_successfully" if ends else "service_healthy"}
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / "deploy" / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), "what is published is this machine's own business"


def test_every_setting_is_known() -> None:
    text = (ROOT / "deploy/compose.yml").read_text() + DOCKERFILE
    used = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+\b", text))
    assert used - known_variables(DeploymentSettings) == set()
    assert {"TACTFUL_CONFIG", f"{ENV_PREFIX}KAFKA__BOOTSTRAP"} <= used


@pytest.mark.parametrize("name", OURS)
def test_a_service_gets_one_file_of_secrets_and_no_other(name: str) -> None:
    for service in (SERVICES[name], SERVICES[f"upgrade-{name}"]):
        assert service["secrets"] == [{"source": f"{name}.toml", "target": "tactful.toml"}]
        assert service["environment"]["TACTFUL_CONFIG"] == "/run/secrets/tactful.toml"
        assert not [variable for variable in service["environment"] if re.search("KEY|PASSWORD|SECRET|URL$", variable)
                    and variable not in PLAIN]  # fmt: skip
    assert COMPOSE["secrets"][f"{name}.toml"] == {"file": f"./secrets/{name}.toml"}


PLAIN = {
    *(f"TACTFUL_SERVICES__{name.upper()}_URL" for name in OURS),
    "TACTFUL_WEB__PUBLIC_URL",
}


@pytest.mark.parametrize("name", [*OURS, *(f"upgrade-{name}" for name in OURS)])
def test_our_containers_run_as_nobody_special_and_write_nowhere(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001" and service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "--uid 10001" in DOCKERFILE


@pytest.mark.parametrize("name", [*OURS, *(f"upgrade-{name}" for name in OURS)])
def test_every_command_parses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    python, m, module, *arguments = SERVICES[name]["command"]
    assert (python, m) == ("python", "-m")
    if module == "tactful":
        assert run(*arguments, "--help").code == 0
        return
    assert module == f"services.{name}" and arguments == ["--port", PORTS[name]]
    with pytest.raises(SystemExit) as ended:
        import_module(f"{module}.__main__").main([*arguments, "--help"])
    assert ended.value.code == 0
    assert "--port" in capsys.readouterr().out


def test_prometheus_scrapes_the_services_where_they_listen() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = {
        job["job_name"]: target
        for job in configuration["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    assert targets == {name: f"{name}:{PORTS[name]}" for name in OURS}


def test_alerts_have_somewhere_to_go() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (managers,) = configuration["alerting"]["alertmanagers"]
    assert managers == {"static_configs": [{"targets": ["alertmanager:9093"]}]}
    (file, _) = SERVICES["alertmanager"]["volumes"]
    assert file.split(":")[:2] == ["./prometheus/alertmanager.yml", "/etc/alertmanager/alertmanager.yml"]
    assert f"--config.file={file.split(':')[1]}" in SERVICES["alertmanager"]["command"]
