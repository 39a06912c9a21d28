"""Checks of `tactful status` about what processes run, and whether providers take what they are given.

A check never raises: a failure is its finding.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.deployment_settings import DeploymentSettings
from tactful.adapters_command import PATH, STATE_WORDS
from tactful.command_errors import CommandError
from tactful.connection import connect, service_tls
from tactful.doctor_checks import CHECK_TIMEOUT_SECONDS, CheckState, DoctorFinding

_BUILD = "tactful_build_info"
_MENDS: Mapping[str, str] = {
    "no_dispatcher": "start a process of the role dispatch",
    "throttled": "nothing: it is tried again by itself",
    "account": "deploy/runbooks/tactfuladapteraccountrefused.md",
}
_OTHER_MEND = "deploy/runbooks/tactfuladaptercircuitopen.md"


def check_versions(settings: DeploymentSettings, urls: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """The version of each service and the step of its schema; amber where services have different versions."""
    found: dict[str, tuple[str, str]] = {}
    for service, url in urls.items():
        try:
            with httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False, verify=service_tls(settings)) as client:
                answer = client.get(f"{url}/metrics", headers={"accept": "text/plain"}).raise_for_status()
            found[service] = _build_of(answer.text)
        except (httpx.HTTPError, LookupError, ValueError, CommandError):
            yield DoctorFinding(f"version {service}", CheckState.AMBER, f"unknown: {url} shows none", "see above")
    mixed = len({version for version, _ in found.values()}) > 1
    for service, (version, schema) in found.items():
        yield DoctorFinding(
            f"version {service}",
            CheckState.AMBER if mixed else CheckState.GREEN,
            f"{version}, schema {schema}",
            "run one version of all services" if mixed else None,
        )


def _build_of(metrics: str) -> tuple[str, str]:
    """Version with its commit, and schema. Raises LookupError, ValueError for what are no metrics of ours."""
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == _BUILD:
                labels = sample.labels
                commit = "" if labels["commit"] == "unknown" else f" ({labels['commit'][:12]})"
                return f"{labels['version']}{commit}", labels["schema_revision"].replace(",", ", ")
    raise LookupError(_BUILD)


def check_adapters() -> Iterator[DoctorFinding]:
    """Whether each adapter gets messages, and how many wait for it."""
    try:
        with connect() as api:
            adapters = api.get(PATH)["items"]
    except CommandError as error:
        yield DoctorFinding("adapters", CheckState.RED, error.message, error.hint)
        return
    for each in adapters:
        yield _adapter_finding(each)


def _adapter_finding(adapter: Mapping[str, Any]) -> DoctorFinding:
    state, until = str(adapter["state"]), f" until {adapter['until']}" if adapter["until"] else ""
    detail = f"{STATE_WORDS[state]}{until}, {adapter['waiting']} waiting"
    check = f"adapter {adapter['name']}"
    if state == "serving" or (state == "no_dispatcher" and not adapter["waiting"]):
        return DoctorFinding(check, CheckState.GREEN, detail)
    found = CheckState.AMBER if state == "throttled" else CheckState.RED
    return DoctorFinding(check, found, detail, _MENDS.get(state, _OTHER_MEND))
