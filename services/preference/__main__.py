"""`python -m services.preference [--port N]`: this service alone."""

import argparse
import sys
from collections.abc import Sequence

import httpx

from services.clients.orchestrator import OrchestratorClient
from services.kit.runtime import standalone
from services.preference.app import build
from services.preference.settings import PreferenceSettings


async def run(settings: PreferenceSettings, _chosen: argparse.Namespace) -> int:
    """Serve until a signal comes or the log can no longer be read. Returns the exit code."""
    async with (
        standalone.ground("preference", settings) as ground,
        httpx.AsyncClient(base_url=settings.services.orchestrator_url) as to_orchestrator,
    ):
        service = build(
            settings,
            database=ground.database,
            bus=ground.bus,
            clock=ground.clock,
            orchestrator=OrchestratorClient(to_orchestrator, settings.need("service_key")),
            registry=ground.registry,
        )
        return await standalone.serve(service, settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    return standalone.main("preference", PreferenceSettings, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
