"""One service alone in its process: `python -m services.NAME [--port N]`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import uvloop
from starlette.types import ASGIApp

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Bus
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.errors import TactfulError
from services.kit.http.server import server
from services.kit.observability import logs
from services.kit.observability.build_info import say_what_runs
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry, count_logs
from services.kit.runtime import garbage_collection
from services.kit.runtime.clock import Clock, SystemClock
from services.kit.runtime.settings import ServiceSettings, SettingsError, load

CLOCK_ERROR = 1_000_000
"""Microseconds by which our clock may differ from the database's."""

Settings = TypeVar("Settings", bound=ServiceSettings)


class Refused(Exception):
    """The process must not start; the text is one line that says why and how to mend it."""


class Service(Protocol):
    """What can be run: an app, and tasks that must not end before their time."""

    @property
    def app(self) -> ASGIApp:
        """Answers HTTP."""

    @property
    def health(self) -> Health:
        """Says that it is stopping as soon as the server begins to leave."""

    def jobs(self) -> Sequence[asyncio.Task[None]]:
        """The tasks at work, once started."""

    async def start(self) -> None:
        """Begin to work."""

    async def stop(self) -> None:
        """Finish what is under way; raises what ended a task before its time."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a service stands on."""

    database: Database
    bus: Bus
    clock: Clock
    registry: Registry


@asynccontextmanager
async def ground(name: str, settings: ServiceSettings) -> AsyncIterator[Ground]:
    """Open the service's database and log, and close them at the end.

    Raises Refused when the schema is not at its newest step or the clocks differ, SettingsError for a missing URL.
    """
    url = settings.need("database.url")
    await _ready(url, name)
    registry = Registry()
    say_what_runs(registry, name)
    logs.configure(name, level=settings.log_level, seen=count_logs(registry))
    database = Database.open(url, pool=settings.database.pool)
    bootstrap = settings.kafka.bootstrap
    bus: Bus = LocalBus(settings.data_dir / "log.db") if bootstrap is None else KafkaBus(bootstrap)
    try:
        clock = SystemClock()
        await _agree(clock, database)
        yield Ground(database, bus, clock, registry)
    finally:
        await bus.close()
        await database.close()


async def _agree(clock: Clock, database: Database) -> None:
    """Refuse clocks that differ; the time that the question itself takes is no difference."""
    asked = clock.now()
    theirs = await database.now()
    if not asked - CLOCK_ERROR <= theirs <= clock.now() + CLOCK_ERROR:
        raise Refused("this machine's clock differs from the database's by more than 1 s: set the clocks")


async def serve(service: Service, settings: ServiceSettings) -> int:
    """Serve until a signal comes or a task ends before its time. Returns the exit code."""

    def leaving() -> None:
        service.health.stopping = True

    web = server(service.app, host=settings.web.host, port=settings.web.port, leaving=leaving)
    await service.start()
    garbage_collection.settle()
    for task in service.jobs():
        task.add_done_callback(lambda _: setattr(web, "should_exit", True))
    await web.serve()
    try:
        await service.stop()
    except Exception as error:
        logs.log_error("service_ended", error, "critical")
        return 1
    return 0


async def _ready(url: str, name: str) -> None:
    """A file is brought up to date; a server's schema is changed by `tactful db upgrade` alone."""
    if url.startswith("sqlite"):
        await migrate.upgrade(url, f"services.{name}")
    elif not await migrate.check(url, f"services.{name}"):
        raise Refused(
            f"the database is not at the newest step of its schema: run `tactful db upgrade --service {name}`"
        )


def main(
    name: str,
    kind: type[Settings],
    run: Callable[[Settings, argparse.Namespace], Awaitable[int]],
    arguments: Sequence[str] | None = None,
    *,
    add: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
) -> int:
    """Read arguments and settings, run, and say in one line why not. Exit codes: 0 ok, 1 failed, 2 usage."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=f"Tactful: {name}, alone")
    parser.add_argument("--port", type=int, help="where to listen")
    add(parser)
    chosen = parser.parse_args(arguments)

    async def start() -> int:
        return await run(settings, chosen)

    try:
        settings = load(kind, **({} if chosen.port is None else {"web": {"port": chosen.port}}))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(start())
    except (SettingsError, Refused, TactfulError) as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - before the logs are set up, for people
        return 1
    except KeyboardInterrupt:
        return 0
