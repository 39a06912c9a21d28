"""`tactful status`: what runs now, without the settings and files that `tactful doctor` looks at as well."""

import asyncio
import time
from typing import Annotated

import typer

from services.deployment_settings import DeploymentSettings
from tactful import doctor_checks
from tactful.command_errors import CommandError
from tactful.connection import load_service_settings
from tactful.doctor_checks import CheckState, DoctorFinding
from tactful.doctor_command import COLUMNS, PrometheusOption, finding_row
from tactful.doctor_installation import check_alerts, check_certificates, check_lag
from tactful.doctor_running import check_adapters, check_versions
from tactful.output import OutputFormat, OutputOption, print_data, print_message


def status(
    prometheus: PrometheusOption = None,
    watch: Annotated[
        float | None, typer.Option(min=1, help="Ask again after so many seconds, until interrupted.", metavar="SECONDS")
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show services, versions, lag, adapters, dead letters, certificates and alerts. Exit code 1 if one is red.

    With --watch it goes on until it is interrupted, and then exits with 130.
    """
    settings = load_service_settings()
    while True:
        findings = asyncio.run(_look(settings, prometheus))
        rows = [finding_row(each) for each in findings] if output is OutputFormat.TABLE else None
        print_data(rows or [each.to_dict() for each in findings], output, COLUMNS)
        if watch is None:
            break
        print_message(time.strftime("%H:%M:%SZ", time.gmtime()), "dim")
        time.sleep(watch)
    if red := sum(each.state is CheckState.RED for each in findings):
        raise CommandError(f"{red} of {len(findings)} are red")


async def _look(settings: DeploymentSettings, prometheus: str | None) -> list[DoctorFinding]:
    urls = doctor_checks.service_urls(settings, doctor_checks.is_development(settings))
    found = [await doctor_checks.check_readiness(settings, name, address) for name, address in urls.items()]
    found += [*check_versions(settings, urls), *check_lag(settings, urls), *check_adapters()]
    found += [*doctor_checks.check_dead_letters(), *check_certificates(settings)]
    return found + (list(check_alerts(prometheus)) if prometheus else [])
