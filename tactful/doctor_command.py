"""`tactful doctor`: checks everything that an installation depends on, and suggests fixes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import typer

from services.deployment_settings import DeploymentSettings
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from tactful import doctor_checks
from tactful.command_errors import CommandError
from tactful.db_command import DatabaseService
from tactful.doctor_checks import CheckState, DoctorFinding
from tactful.doctor_installation import check_alerts, check_certificates, check_lag
from tactful.doctor_sign_in import check_sign_in
from tactful.output import OutputFormat, OutputOption, print_data, show_spinner
from tactful.python_check import check_python

COLUMNS = {"state": "state", "check": "check", "found": "found"}
PrometheusOption = Annotated[
    str | None, typer.Option("--prometheus", help="Address of a Prometheus with the rules: says which alerts fire.")
]


def doctor(
    service: Annotated[
        DatabaseService, typer.Option(help="The service that owns TACTFUL_DATABASE__URL.")
    ] = DatabaseService.ORCHESTRATOR,
    prometheus: PrometheusOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Check the installation and suggest fixes. Exit code 1 if a check is red.

    Checks settings, files, databases, the log, services, lag, clocks, certificates and adapters.
    """
    with show_spinner("checking"):
        findings = asyncio.run(_collect_findings(service, prometheus))
    plain = [finding.to_dict() for finding in findings]
    print_data(
        [finding_row(finding) for finding in findings] if output is OutputFormat.TABLE else plain, output, COLUMNS
    )
    red = sum(finding.state is CheckState.RED for finding in findings)
    if red:
        raise CommandError(f"{red} of {len(findings)} checks are red")


async def _collect_findings(service: DatabaseService, prometheus: str | None) -> list[DoctorFinding]:
    try:
        settings = load_settings(DeploymentSettings)
    except SettingsError as error:
        return [
            DoctorFinding(
                "settings", CheckState.RED, str(error), "correct this setting; deploy/.env.example lists all of them"
            )
        ]
    configured_count = sum(each.origin != "default" for each in list_setting_origins(settings))
    settings_finding = DoctorFinding(
        "settings", CheckState.GREEN, f"{configured_count} set, all others at their defaults"
    )
    python_finding = check_python(sys.version_info[:3])
    return [
        settings_finding,
        python_finding,
        *[finding async for finding in _run_checks(settings, service)],
        *(check_alerts(prometheus) if prometheus else ()),
    ]


async def _run_checks(settings: DeploymentSettings, service: DatabaseService) -> AsyncIterator[DoctorFinding]:
    """Run the checks, one after the other."""
    development = doctor_checks.is_development(settings)
    is_separate = settings.kafka.bootstrap is not None  # services of their own keep nothing in a data directory
    if not is_separate:
        yield doctor_checks.check_data_directory(settings)
    if settings.database.url is None and is_separate:
        yield doctor_checks.missing_database_url(service)
    elif settings.database.url is None:
        for each in DatabaseService:
            yield await doctor_checks.check_database_file(settings, each)
    else:
        yield await doctor_checks.check_database(settings.database.url, service)
        yield await doctor_checks.check_database_clock(settings.database.url)
    yield await doctor_checks.check_event_log(settings)
    for name, address in doctor_checks.service_urls(settings, development).items():
        yield await doctor_checks.check_readiness(settings, name, address)
    for finding in check_lag(settings, doctor_checks.service_urls(settings, development)):
        yield finding
    for finding in check_certificates(settings):
        yield finding
    if settings.tracked_links.base_url is not None:
        yield await doctor_checks.check_links(settings)
    for finding in doctor_checks.check_api():
        yield finding
    yield doctor_checks.check_audit_log(settings, development)
    if settings.oidc.issuer is not None:
        yield await check_sign_in(settings, settings.oidc.issuer)
    yield doctor_checks.check_campaigns()
    for finding in doctor_checks.check_dead_letters():
        yield finding
    for channel in settings.adapters:
        for adapter in [route.adapter for route in settings.routes_of(channel)] or [settings.adapters[channel]]:
            yield doctor_checks.check_adapter(settings, channel, adapter, development)


def finding_row(finding: DoctorFinding) -> dict[str, str]:
    """For a table."""
    detail = finding.detail if finding.mend is None else f"{finding.detail}\nfix: {finding.mend}"
    return {"state": finding.state.value, "check": finding.check, "found": detail}
