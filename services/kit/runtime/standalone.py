"""One service alone in its process: `python -m services.NAME [--port N]`."""

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
"""Microseconds by which our clock may differ from the database's."""

Settings = TypeVar("Settings", bound=ServiceSettings)


class StartupRefused(Exception):
    """The process must not start; the text is one line that says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class ProcessResources:
    """What a service stands on."""

    database: Database
    bus: Bus
    clock: Clock
    registry: Registry


@asynccontextmanager
async def open_resources(name: str, settings: ServiceSettings) -> AsyncIterator[ProcessResources]:
    """Open the service's database and log, and close them at the end.

    Raises Refused when the schema is not at its newest step or the clocks differ, SettingsError for a missing URL.
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
    """Refuse clocks that differ; the time that the question itself takes is no difference."""
    before = clock.now()
    database_now = await database.now()
    if not before - MAX_CLOCK_DIFFERENCE <= database_now <= clock.now() + MAX_CLOCK_DIFFERENCE:
        raise StartupRefused("this machine's clock differs from the database's by more than 1 s: set the clocks")


async def serve_until_stopped(service: Service, settings: ServiceSettings) -> int:
    """Serve until a signal comes or a task ends before its time. Returns the exit code."""

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
    """A file is brought up to date; a server's schema is changed by `tactful db upgrade` alone."""
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
    """Read arguments and settings, run, and say in one line why not. Exit codes: 0 ok, 1 failed, 2 usage."""
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
