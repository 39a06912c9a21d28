"""Runs this service alone: `python -m services.preference [--port N]`."""

import argparse
import sys
from collections.abc import Sequence

from services.clients.connections import open_service_client
from services.clients.liveness import watched_service
from services.clients.orchestrator import OrchestratorClient
from services.deployment_settings import SERVICE_SETTINGS
from services.kit.runtime import standalone
from services.preference.app import build
from services.preference.settings import REQUIRED_SETTINGS, PreferenceSettings


async def serve_preference(settings: PreferenceSettings, _options: argparse.Namespace) -> int:
    """Serves until a signal comes or the log can no longer be read. Returns the exit code."""
    async with (
        standalone.open_resources("preference", settings) as resources,
        open_service_client(settings, settings.services.orchestrator_url) as orchestrator_http,
    ):
        service = build(
            settings,
            database=resources.database,
            bus=resources.bus,
            clock=resources.clock,
            orchestrator=OrchestratorClient(orchestrator_http, settings.require("service_key")),
            registry=resources.registry,
        )
        resources.watch(service, *watched_service("orchestrator", orchestrator_http), required=False)
        return await standalone.serve_until_stopped(service, resources)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code."""
    return standalone.run_process(
        "preference",
        PreferenceSettings,
        serve_preference,
        arguments,
        required_settings=REQUIRED_SETTINGS,
        deployment=SERVICE_SETTINGS,
    )


if __name__ == "__main__":
    sys.exit(main())
