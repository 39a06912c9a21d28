"""Checks of `tactful doctor` about a whole installation while it runs: lag, certificates, and what Prometheus says.

A check never raises: a failure is its finding.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from schemas.times import SECOND, parse_instant
from services.deployment_settings import DeploymentSettings
from services.kit.runtime.certificate_expiry import own_certificates, read_expiry
from tactful.command_errors import CommandError
from tactful.connection import connect, service_tls
from tactful.doctor_checks import CHECK_TIMEOUT_SECONDS, CheckState, DoctorFinding

FEW_DAYS = 14
"""Days before its end from which a certificate is amber, as the alert TactfulCredentialExpiring has it."""
DAY_SECONDS = 86_400
BEHIND_SECONDS = 60.0
"""Seconds behind the log from which a consumer is amber."""
FAR_BEHIND_SECONDS = 300.0
"""Seconds behind the log from which it is red, as the alert TactfulConsumerBehind has it."""
WATCHDOG = "TactfulWatchdog"
_NEXT_RECORD = "tactful_consumer_next_record_timestamp_seconds"


def check_certificates(settings: DeploymentSettings) -> Iterator[DoctorFinding]:
    """For how many days the certificates last that this process would show."""
    for use, path in own_certificates(settings).items():
        check = f"certificate {use}"
        try:
            days = (read_expiry(path).timestamp() - time.time()) / DAY_SECONDS
        except (OSError, ValueError) as error:
            yield DoctorFinding(check, CheckState.RED, f"{path} cannot be read: {error}", "name a certificate as PEM")
            continue
        state = CheckState.RED if days <= 0 else CheckState.AMBER if days < FEW_DAYS else CheckState.GREEN
        detail = f"{path} ended {-days:.0f} days ago" if days <= 0 else f"{path} lasts {days:.0f} days"
        mend = None if state is CheckState.GREEN else "renew it, and start the processes again"
        yield DoctorFinding(check, state, detail, mend)


def check_lag(settings: DeploymentSettings, urls: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """How far the consumers of each service are behind the log. One that does not answer is another check's finding."""
    now = _now()
    for service, url in urls.items():
        try:
            with httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False, verify=service_tls(settings)) as client:
                answer = client.get(f"{url}/metrics", headers={"accept": "text/plain"}).raise_for_status()
            instants = _next_records(answer.text)
        except (httpx.HTTPError, ValueError, CommandError):
            yield DoctorFinding(f"lag {service}", CheckState.AMBER, f"unknown: {url} shows no metrics", "see above")
            continue
        for group, instant in instants.items():
            yield _lag_finding(group, 0.0 if instant == 0 else now - instant)


def _now() -> float:
    """The time of `tactful dev`, whose clock may stand, or of this machine."""
    try:
        with connect() as api:
            return parse_instant(api.now()) / SECOND
    except CommandError:
        return time.time()


def _next_records(metrics: str) -> dict[str, float]:
    """When the oldest record was written that a group has not processed, 0 if there is none."""
    found: dict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(metrics):
        if family.name == _NEXT_RECORD:
            for sample in family.samples:
                found[sample.labels["group"]].append(sample.value)
    return {group: min((each for each in values if each), default=0.0) for group, values in sorted(found.items())}


def _lag_finding(group: str, behind: float) -> DoctorFinding:
    if behind <= BEHIND_SECONDS:
        return DoctorFinding(f"lag {group}", CheckState.GREEN, f"{max(behind, 0):.0f} s behind the log")
    state = CheckState.RED if behind > FAR_BEHIND_SECONDS else CheckState.AMBER
    return DoctorFinding(
        f"lag {group}", state, f"{behind:.0f} s behind the log", "deploy/runbooks/tactfulconsumerbehind.md"
    )


def check_alerts(address: str) -> Iterator[DoctorFinding]:
    """Which alerts of Tactful fire in the Prometheus at this address, and whether it evaluates them at all."""
    try:
        answer = httpx.get(f"{address.rstrip('/')}/api/v1/alerts", timeout=CHECK_TIMEOUT_SECONDS, trust_env=False)
        alerts = answer.raise_for_status().json()["data"]["alerts"]
        firing = [each["labels"] for each in alerts if each["state"] == "firing"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        yield DoctorFinding(
            *("alerts", CheckState.RED, f"{address} does not tell its alerts: {type(error).__name__}"),
            "name the address of a Prometheus, such as http://prometheus:9090",
        )
        return
    if not any(each.get("alertname") == WATCHDOG for each in firing):
        mend = "load the rules of deploy/prometheus/rules"
        yield DoctorFinding("alerts", CheckState.RED, f"{WATCHDOG} does not fire: the rules are not evaluated", mend)
        return
    yield from _alert_findings(firing)


def _alert_findings(firing: Iterable[Mapping[str, str]]) -> Iterator[DoctorFinding]:
    ours = {
        (each["alertname"], each.get("severity", "none"))
        for each in firing
        if each.get("alertname", "").startswith("Tactful") and each["alertname"] != WATCHDOG
    }
    if not ours:
        yield DoctorFinding("alerts", CheckState.GREEN, "none fires")
    for name, severity in sorted(ours):
        state = CheckState.RED if severity == "critical" else CheckState.AMBER
        yield DoctorFinding("alerts", state, f"{name} fires ({severity})", f"deploy/runbooks/{name.lower()}.md")
