"""Runs one service alone in its process: `python -m services.NAME [--port N]`.

Before the service starts, its settings, its database schema and its clock are checked; what is wrong is one line on
stderr and exit code 1. The process ends on a signal, or when a job of the service ends before it was told to.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Bus
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.errors import TactfulError
from services.kit.http.server import create_server
from services.kit.observability import logs
from services.kit.observability.build_info import publish_build_info
from services.kit.observability.metrics import Registry, log_counter
from services.kit.runtime import garbage_collection
from services.kit.runtime.clock import Clock, SystemClock
from services.kit.runtime.service import Service
from services.kit.runtime.settings import ServiceSettings, SettingsError, load_settings

MAX_CLOCK_DIFFERENCE = 1_000_000
"""Microseconds by which the machine's clock may differ from the database's: leases are timed by both."""

Settings = TypeVar("Settings", bound=ServiceSettings)


class StartupRefused(Exception):
    """The process must not start; the message is one line with the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class ProcessResources:
    """The resources of a process: what a service works with, opened before it and closed after it."""

    database: Database
    bus: Bus
    clock: Clock
    registry: Registry


@asynccontextmanager
async def open_resources(name: str, settings: ServiceSettings) -> AsyncIterator[ProcessResources]:
    """Opens the service's database and log, and closes them at the end.

    Raises StartupRefused when the schema is not at its newest step or the clocks differ, SettingsError when the URL is
    missing.
    """
    url = settings.require("database.url")
    await _prepare_schema(url, name)
    registry = Registry()
    publish_build_info(registry, name)
    logs.configure_logging(name, level=settings.log_level, on_line=log_counter(registry))
    database = Database.open(url, pool=settings.database.pool)
    bootstrap = settings.kafka.bootstrap
    bus: Bus = LocalBus(settings.data_dir / "log.db") if bootstrap is None else KafkaBus(bootstrap)
    try:
        clock = SystemClock()
        await _check_clocks(clock, database)
        yield ProcessResources(database, bus, clock, registry)
    finally:
        await bus.close()
        await database.close()


async def _check_clocks(clock: Clock, database: Database) -> None:
    """Refuses clocks that differ; the time that the query takes does not count as a difference."""
    before = clock.now()
    database_now = await database.now()
    if not before - MAX_CLOCK_DIFFERENCE <= database_now <= clock.now() + MAX_CLOCK_DIFFERENCE:
        raise StartupRefused("this machine's clock differs from the database's by more than 1 s: set the clocks")


async def serve_until_stopped(service: Service, settings: ServiceSettings) -> int:
    """Serves until a signal comes or a job ends early. Returns the exit code."""

    def on_shutdown() -> None:
        service.health.stopping = True

    http_server = create_server(service.app, host=settings.web.host, port=settings.web.port, on_shutdown=on_shutdown)
    await service.start()
    garbage_collection.tune_garbage_collector()
    for task in service.tasks:
        task.add_done_callback(lambda _: setattr(http_server, "should_exit", True))
    await http_server.serve()
    try:
        await service.stop()
    except Exception as error:
        logs.log_error("service_ended", error, "critical")
        return 1
    return 0


async def _prepare_schema(url: str, name: str) -> None:
    """Upgrades the schema of a SQLite file. A server's schema is only checked: `tactful db upgrade` changes it."""
    if url.startswith("sqlite"):
        await migrate.upgrade_schema(url, f"services.{name}")
    elif not await migrate.is_up_to_date(url, f"services.{name}"):
        raise StartupRefused(
            f"the database is not at the newest step of its schema: run `tactful db upgrade --service {name}`"
        )


def run_process(
    name: str,
    settings_type: type[Settings],
    run_service: Callable[[Settings, argparse.Namespace], Awaitable[int]],
    arguments: Sequence[str] | None = None,
    *,
    deployment: Sequence[type[ServiceSettings]] = (),
    add_arguments: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
) -> int:
    """Reads arguments and settings and runs the service; a refusal is one line on stderr.

    Returns the exit code: 0 ok, 1 failed, 2 usage.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=f"Tactful: {name}, alone")
    parser.add_argument("--port", type=int, help="where to listen")
    add_arguments(parser)
    options = parser.parse_args(arguments)

    async def start() -> int:
        return await run_service(settings, options)

    try:
        given = {} if options.port is None else {"web": {"port": options.port}}
        settings = load_settings(settings_type, deployment=deployment, **given)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(start())
    except (SettingsError, StartupRefused, TactfulError) as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - before the logs are set up, for people
        return 1
    except KeyboardInterrupt:
        return 0
