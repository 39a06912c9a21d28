"""Runs this service alone: `python -m services.suppression [--port N]`."""

import argparse
import sys
from collections.abc import Sequence

import httpx

from services.clients.orchestrator import OrchestratorClient
from services.deployment_settings import SERVICE_SETTINGS
from services.kit.runtime import standalone
from services.suppression.app import build
from services.suppression.settings import SuppressionSettings


async def serve_suppression(settings: SuppressionSettings, _options: argparse.Namespace) -> int:
    """Serves until a signal comes or the log can no longer be read. Returns the exit code."""
    async with (
        standalone.open_resources("suppression", settings) as resources,
        httpx.AsyncClient(base_url=settings.services.orchestrator_url) as orchestrator_http,
    ):
        service = build(
            settings,
            database=resources.database,
            bus=resources.bus,
            clock=resources.clock,
            orchestrator=OrchestratorClient(orchestrator_http, settings.require("service_key")),
            registry=resources.registry,
        )
        return await standalone.serve_until_stopped(service, settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code."""
    return standalone.run_process(
        "suppression", SuppressionSettings, serve_suppression, arguments, deployment=SERVICE_SETTINGS
    )


if __name__ == "__main__":
    sys.exit(main())
