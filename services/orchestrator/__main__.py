"""Runs this service alone: `python -m services.orchestrator [--port N] [--role api|decide|dispatch|schedule|all]`."""

import argparse
import sys
from collections.abc import Sequence

from services.clients.connections import open_service_client
from services.clients.liveness import watched_service
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.deployment_settings import SERVICE_SETTINGS
from services.kit.runtime import standalone
from services.orchestrator.app import ROLES, build
from services.orchestrator.settings import REQUIRED_SETTINGS, OrchestratorSettings


async def run_orchestrator(settings: OrchestratorSettings, options: argparse.Namespace) -> int:
    """Serves until a signal comes. Returns the exit code."""
    key, address_key = settings.require("service_key"), settings.require("address_key").encode()
    async with (
        standalone.open_resources("orchestrator", settings) as resources,
        open_service_client(settings, settings.services.preference_url) as to_preference,
        open_service_client(settings, settings.services.suppression_url) as to_suppression,
    ):
        service = build(
            settings,
            database=resources.database,
            bus=resources.bus,
            clock=resources.clock,
            preference=PreferenceClient(to_preference, key),
            suppression=SuppressionClient(to_suppression, key, address_key),
            registry=resources.registry,
            role=options.role,
        )
        evaluates = options.role != "api"
        for name, client in (("preference", to_preference), ("suppression", to_suppression)):
            resources.watch(service, *watched_service(name, client), required=evaluates)
        needs_log = options.role not in ("dispatch", "schedule")
        return await standalone.serve_until_stopped(service, resources, role=options.role, needs_log=needs_log)


def _add_role_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", choices=ROLES, default="all", help="what this process does [all]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code."""
    return standalone.run_process(
        "orchestrator",
        OrchestratorSettings,
        run_orchestrator,
        arguments,
        required_settings=REQUIRED_SETTINGS,
        deployment=SERVICE_SETTINGS,
        add_arguments=_add_role_option,
    )


if __name__ == "__main__":
    sys.exit(main())
