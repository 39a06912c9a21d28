"""`tactful doctor`: is everything there that this installation needs, and what to do about what is not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import typer

from services.deployment_settings import DeploymentSettings
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from tactful import doctor_checks
from tactful.command_errors import CommandError
from tactful.db_command import Service
from tactful.doctor_checks import Finding, State
from tactful.output import Format, Output, show, working

COLUMNS = {"state": "state", "check": "check", "found": "found"}


def doctor(
    service: Annotated[Service, typer.Option(help="Whose database TACTFUL_DATABASE__URL is.")] = Service.ORCHESTRATOR,
    output: Output = Format.TABLE,
) -> None:
    """Examine settings, files, databases, log, services, clocks and adapters. Exit code 1 when something is red."""
    with working("examining"):
        found = asyncio.run(_examine(service))
    plain = [finding.plain() for finding in found]
    show([_line(finding) for finding in found] if output is Format.TABLE else plain, output, COLUMNS)
    red = sum(finding.state is State.RED for finding in found)
    if red:
        raise CommandError(f"{red} of {len(found)} checks are red")


async def _examine(service: Service) -> list[Finding]:
    try:
        known = load_settings(DeploymentSettings)
    except SettingsError as error:
        return [Finding("settings", State.RED, str(error), "mend this setting; `.env.example` lists them all")]
    given = sum(each.origin != "default" for each in list_setting_origins(known))
    settings = Finding("settings", State.GREEN, f"{given} are set, the others stand at their defaults")
    return [settings, *[finding async for finding in _all(known, service)]]


async def _all(known: DeploymentSettings, service: Service) -> AsyncIterator[Finding]:
    """The checks, one after the other; those that only make sense together in one."""
    development = doctor_checks.is_development(known)
    yield doctor_checks.directory(known)
    if known.database.url is None:
        for each in Service:
            yield await doctor_checks.file_of(known, each)
    else:
        yield await doctor_checks.database(known.database.url, service)
        yield await doctor_checks.database_clock(known.database.url)
    yield await doctor_checks.log(known)
    for name, address in doctor_checks.addresses(known, development).items():
        yield await doctor_checks.ready(name, address)
    for finding in doctor_checks.product():
        yield finding
    for channel, adapter in known.adapters.items():
        yield doctor_checks.adapter(known, channel, adapter, development)


def _line(finding: Finding) -> dict[str, str]:
    found = finding.detail if finding.mend is None else f"{finding.detail}\nmend: {finding.mend}"
    return {"state": finding.state.value, "check": finding.check, "found": found}
