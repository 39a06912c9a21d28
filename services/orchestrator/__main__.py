"""`python -m services.orchestrator [--port N] [--role api|decide|dispatch|schedule|all]`: this service alone."""

import argparse
import sys
from collections.abc import Sequence

import httpx

from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.runtime import standalone
from services.orchestrator.app import ROLES, build
from services.orchestrator.settings import OrchestratorSettings


async def run(settings: OrchestratorSettings, chosen: argparse.Namespace) -> int:
    """Serve until a signal comes. Returns the exit code."""
    key, address_key = settings.need("service_key"), settings.need("address_key").encode()
    async with (
        standalone.ground("orchestrator", settings) as ground,
        httpx.AsyncClient(base_url=settings.services.preference_url) as to_preference,
        httpx.AsyncClient(base_url=settings.services.suppression_url) as to_suppression,
    ):
        service = build(
            settings,
            database=ground.database,
            bus=ground.bus,
            clock=ground.clock,
            preference=PreferenceClient(to_preference, key),
            suppression=SuppressionClient(to_suppression, key, address_key),
            registry=ground.registry,
            role=chosen.role,
        )
        return await standalone.serve(service, settings)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", choices=ROLES, default="all", help="what this process does [all]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    return standalone.main("orchestrator", OrchestratorSettings, run, arguments, add=_add)


if __name__ == "__main__":
    sys.exit(main())
