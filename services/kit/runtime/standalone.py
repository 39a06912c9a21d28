"""Runs one service alone in its process: `python -m services.NAME [--port N]`.

Before the service starts, its settings, its port, its database, the schema and the clock of that, and the log are
checked; what is wrong is one line on stderr and exit code 1. The process ends on a signal, or when a job of the service
ends before it was told to. Its log has one line each for `started`, every change between `ready` and `not_ready`,
`stopping` and `stopped`.
"""

import argparse
import asyncio
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import uvloop

from services.kit.bus.kafka_bus import START_TIMEOUT, KafkaBus
from services.kit.bus.kafka_connection import connect_by
from services.kit.bus.member_identity import member_identity
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.db.refusal import explain_refusal
from services.kit.errors import BusGone, Permanent, TactfulError
from services.kit.http.server import CannotListen, create_server, open_listener
from services.kit.observability import logs
from services.kit.observability.build_info import VERSION, commit, publish_build_info
from services.kit.observability.dependency import PROBE_TIMEOUT, Dependency, Probe, dependency_gauge
from services.kit.observability.health import Health, failures
from services.kit.observability.metrics import Registry, log_counter
from services.kit.runtime import garbage_collection
from services.kit.runtime.certificate_expiry import own_certificates, publish_certificate_expiry
from services.kit.runtime.clock import Clock, SystemClock
from services.kit.runtime.periodic import sleep_unless_set
from services.kit.runtime.service import Service
from services.kit.runtime.settings import ServiceSettings, SettingsError, load_settings
from services.kit.runtime.tls import TlsFiles, server_context

MAX_CLOCK_DIFFERENCE = 1_000_000
"""Microseconds by which the machine's clock may differ from the database's: leases are timed by both."""
READINESS_INTERVAL = 5.0
"""Seconds between two looks at readiness, to log its changes."""

Settings = TypeVar("Settings", bound=ServiceSettings)


class StartupRefused(Exception):
    """The process must not start; the message is one line with the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class ProcessResources:
    """The resources of a process: what a service works with, opened before it and closed after it."""

    name: str
    database: Database
    bus: KafkaBus
    clock: Clock
    registry: Registry
    listener: socket.socket
    tls: ssl.SSLContext | None = None
    """With it, the listener takes TLS alone."""

    def watch(
        self,
        service: Service,
        dependency: Dependency,
        probe: Probe,
        *,
        timeout: float = PROBE_TIMEOUT,
        required: bool = True,
    ) -> None:
        """Has the service probe a server, and shows in the gauge whether it answers: see `Service.watch`."""
        up = dependency_gauge(self.registry, dependency.name)
        dependency.on_change.append(lambda answers: up(dependency.name).set(int(answers)))
        service.watch(dependency, probe, timeout=timeout, required=required)


@asynccontextmanager
async def open_resources(name: str, settings: ServiceSettings) -> AsyncIterator[ProcessResources]:
    """Opens the service's port, database and log, and closes them at the end.

    Raises StartupRefused or CannotListen when one of them cannot be used.
    """
    url, connection, tls = settings.require("database.url"), connect_by(settings), _server_tls(settings)
    with open_listener(settings.web.host, settings.web.port) as listener:
        await _prepare_schema(url, name)
        database = Database.open(url, pool=settings.database.pool)
        bus = KafkaBus(connection, member_identity(listener.getsockname()[1]))
        try:
            clock, registry = SystemClock(), Registry()
            await _check_clocks(clock, database)
            await _check_log(bus)
            publish_build_info(registry, name)
            publish_certificate_expiry(registry, own_certificates(settings))
            logs.configure_logging(name, level=settings.log_level, on_line=log_counter(registry))
            yield ProcessResources(name, database, bus, clock, registry, listener, tls)
        finally:
            await bus.close()
            await database.close()


def _server_tls(settings: ServiceSettings) -> ssl.SSLContext | None:
    web = settings.web
    if web.certificate_file is None:
        return None
    return server_context(
        TlsFiles(
            certificate=web.certificate_file,
            key=web.key_file,
            key_password=web.key_password.get_secret_value() if web.key_password is not None else None,
            certificate_setting="TACTFUL_WEB__CERTIFICATE_FILE",
            key_setting="TACTFUL_WEB__KEY_FILE",
        )
    )


async def _check_clocks(clock: Clock, database: Database) -> None:
    """Refuses clocks that differ; the time that the query takes does not count as a difference."""
    before = clock.now()
    database_now = await database.now()
    if not before - MAX_CLOCK_DIFFERENCE <= database_now <= clock.now() + MAX_CLOCK_DIFFERENCE:
        raise StartupRefused("this machine's clock differs from the database's by more than 1 s: set the clocks")


async def _check_log(bus: KafkaBus) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await bus.probe()
    except Exception as error:
        reason = error.detail if isinstance(error, BusGone) else type(error).__name__
        raise StartupRefused(
            f"Kafka does not answer at {bus.dependency.server} ({reason}): start it, or correct "
            "TACTFUL_KAFKA__BOOTSTRAP or the addresses that the brokers advertise"
        ) from None


async def serve_until_stopped(
    service: Service, resources: ProcessResources, *, role: str = "all", needs_log: bool = True
) -> int:
    """Serves until a signal comes or a job ends early. Returns the exit code.

    `role`: what the process does, for its log. `needs_log`: whether it is not ready without Kafka.
    """
    database, bus = resources.database, resources.bus
    if database.dialect == "postgresql":
        resources.watch(service, database.dependency, database.probe)
    resources.watch(service, bus.dependency, bus.probe, timeout=bus.probe_timeout, required=needs_log)

    def on_shutdown() -> None:
        service.health.stopping = True
        logs.log("stopping", reason=http_server.ended_by, open_requests=http_server.open_requests)

    host, port = resources.listener.getsockname()[:2]
    http_server = create_server(service.app, host=host, port=port, on_shutdown=on_shutdown, tls=resources.tls)
    service.add_job("readiness", partial(log_readiness, service.health))
    await _start(service)
    logs.log(
        "started",
        version=VERSION,
        commit=commit(),
        role=role,
        host=host,
        port=port,
        schema=migrate.latest_revision(f"services.{resources.name}"),
        database=database.server,
        kafka=bus.dependency.server,
        pid=os.getpid(),
    )
    garbage_collection.tune_garbage_collector()
    for task in service.tasks:
        task.add_done_callback(lambda task: http_server.end(f"the job `{task.get_name()}` has ended"))
    await http_server.serve(sockets=[resources.listener])
    began = time.monotonic()
    try:
        report = await service.stop()
    except Exception as error:
        logs.log_error("service_ended", error, "critical")
        logs.log("stopped", exit_code=1, seconds=round(time.monotonic() - began, 3))
        return 1
    logs.log(
        "stopped",
        exit_code=0,
        seconds=round(time.monotonic() - began, 3),
        jobs_finished=len(report.finished),
        jobs_cut_off=list(report.cut_off),
        batch_dropped=report.is_batch_dropped,
    )
    return 0


async def _start(service: Service) -> None:
    """Starts the service. Until then, the errors of libraries are in what refuses the start, and not logged as well."""
    libraries = logging.getLogger()
    level = libraries.level
    libraries.setLevel(logging.CRITICAL)
    try:
        await service.start()
    except BusGone as error:
        raise StartupRefused(f"{error.detail}: check TACTFUL_KAFKA__BOOTSTRAP and the brokers") from None
    finally:
        libraries.setLevel(level)


async def log_readiness(health: Health, stopping: asyncio.Event) -> None:
    """Logs when the process becomes ready, and when it is no longer, with the checks that fail and the seconds that the
    state before has lasted.
    """
    began, was_ready = time.monotonic(), cast("bool | None", None)
    while not stopping.is_set():
        failing = failures(await health.run_checks())
        if health.started and not health.stopping and (was_ready is None or was_ready is bool(failing)):
            seconds = round(time.monotonic() - began, 3)
            if failing:
                checks = [detail or name for name, detail in failing.items()]
                logs.log("not_ready", "error", checks=checks, seconds=seconds)
            else:
                logs.log("ready", seconds=seconds)
            was_ready, began = not failing, time.monotonic()
        await sleep_unless_set(stopping, READINESS_INTERVAL)


async def _prepare_schema(url: str, name: str) -> None:
    """Upgrades the schema of a SQLite file. A server's schema is only checked: `tactful db upgrade` changes it."""
    try:
        if url.startswith("sqlite"):
            await migrate.upgrade_schema(url, f"services.{name}")
        elif not await migrate.is_up_to_date(url, f"services.{name}"):
            raise StartupRefused(
                f"the database is not at the newest step of its schema: run `tactful db upgrade --service {name}`"
            )
    except (StartupRefused, Permanent):
        raise
    except Exception as error:
        raise StartupRefused(explain_refusal(error, url)) from None


def run_process(
    name: str,
    settings_type: type[Settings],
    run_service: Callable[[Settings, argparse.Namespace], Awaitable[int]],
    arguments: Sequence[str] | None = None,
    *,
    required_settings: Sequence[str] = (),
    deployment: Sequence[type[ServiceSettings]] = (),
    add_arguments: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
) -> int:
    """Reads arguments and settings and runs the service; a refusal is one line on stderr.

    `required_settings`: what must be set for this service, see `ServiceSettings.require_set`. Returns the exit code: 0
    ok, 1 failed, 2 usage.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=f"Tactful: {name}, alone")
    parser.add_argument("--port", type=int, help="where to listen")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    logging.getLogger().setLevel(logging.CRITICAL)  # until the logs are set up, a refusal is the only line

    async def start() -> int:
        return await run_service(settings, options)

    try:
        given = {} if options.port is None else {"web": {"port": options.port}}
        settings = load_settings(settings_type, deployment=deployment, **given)
        settings.require_set(required_settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(start())
    except (SettingsError, StartupRefused, CannotListen, TactfulError) as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - before the logs are set up, for people
        return 1
    except KeyboardInterrupt:
        return 0
