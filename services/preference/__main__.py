"""`python -m services.preference [--port N]`: this service alone."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import httpx

from services.kit import logs, migrate
from services.kit.bus import Bus
from services.kit.clock import SystemClock
from services.kit.db import Database
from services.kit.kafka_bus import KafkaBus
from services.kit.local_bus import LocalBus
from services.kit.metrics import Registry, count_logs
from services.kit.serve import server
from services.kit.settings import SettingsError, load
from services.orchestrator.client import OrchestratorClient
from services.preference.app import Service, build
from services.preference.settings import PreferenceSettings

PACKAGE = "services.preference"
CLOCK_ERROR = 1_000_000
"""Microseconds by which our clock may differ from the database's."""


class Refused(Exception):
    """The process must not start; the text is one line that says why and how to mend it."""


async def run(settings: PreferenceSettings) -> int:
    """Serve until a signal comes or the log can no longer be read. Returns the exit code."""
    url = settings.need("database.url")
    await _ready(url)
    registry = Registry()
    logs.configure("preference", level=settings.log_level, seen=count_logs(registry))
    database, bus = Database.open(url, pool=settings.database.pool), _bus(settings)
    try:
        clock = SystemClock()
        if abs(clock.now() - await database.now()) > CLOCK_ERROR:
            raise Refused("this machine's clock differs from the database's by more than 1 s: set the clocks")
        async with httpx.AsyncClient(base_url=settings.services.orchestrator_url) as client:
            orchestrator = OrchestratorClient(client, settings.need("service_key"))
            service = build(
                settings, database=database, bus=bus, clock=clock, orchestrator=orchestrator, registry=registry
            )
            return await _serve(service, settings)
    finally:
        await bus.close()
        await database.close()


async def _serve(service: Service, settings: PreferenceSettings) -> int:
    web = server(service.app, host=settings.web.host, port=settings.web.port)
    await service.start()
    assert service.task is not None
    service.task.add_done_callback(lambda _: setattr(web, "should_exit", True))
    await web.serve()
    try:
        await service.stop()
    except Exception as error:
        logs.log_error("log_reading_ended", error, "critical")
        return 1
    return 0


async def _ready(url: str) -> None:
    """A file is brought up to date; a server's schema is changed by `tactful db upgrade` alone."""
    if url.startswith("sqlite"):
        await migrate.upgrade(url, PACKAGE)
    elif not await migrate.check(url, PACKAGE):
        raise Refused("the database is not at the newest step of its schema: run `tactful db upgrade`")


def _bus(settings: PreferenceSettings) -> Bus:
    if settings.kafka.bootstrap is not None:
        return KafkaBus(settings.kafka.bootstrap)
    return LocalBus(settings.data_dir / "log.db")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read arguments and settings, run, and say in one line why not. Exit codes: 0 ok, 1 failed, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m services.preference", description=__doc__)
    parser.add_argument("--port", type=int, help="where to listen [8001]")
    chosen = parser.parse_args(arguments)
    try:
        settings = load(PreferenceSettings, **({} if chosen.port is None else {"web": {"port": chosen.port}}))
        return asyncio.run(run(settings))
    except (SettingsError, Refused) as error:
        print(f"preference: {error}", file=sys.stderr)  # noqa: T201 - before the logs are set up, for people
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
