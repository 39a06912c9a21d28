"""Server of `tactful dev`: all services behind one port of the loopback interface, with the demo shop."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from schemas.adapter_registry import OFF
from schemas.roles import Role
from schemas.times import Instant, format_instant
from services.deployment_settings import DeploymentSettings
from services.development import demo as demo_module
from services.development import dev_settings
from services.development.all_services import EmbeddedTactful
from services.development.demo import DemoShop
from services.kit.errors import TactfulError
from services.kit.http.server import CannotListen, create_server, open_listener
from services.kit.observability import logs
from services.kit.observability.build_info import VERSION, commit
from services.kit.observability.metrics import log_counter
from services.kit.runtime.clock import ManualClock
from services.kit.runtime.garbage_collection import tune_garbage_collector
from services.kit.runtime.settings import SettingsError, load_settings
from services.kit.runtime.standalone import StartupRefused

ADDRESS_FILE = "address"
"""The file in the data directory that holds the address while the server runs."""


def run_dev_server(data_dir: Path | None, port: int | None, demo: bool, clock: Instant | None) -> int:
    """Serve until a signal arrives. What is None is read from the settings. Returns the exit code: 0 ok, 1 failed."""
    umask = os.umask(0o077)  # its files hold customers' data and keys
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(data_dir, port, demo and clock is None, clock))
    except (SettingsError, StartupRefused, CannotListen, TactfulError) as error:
        print(f"tactful dev: {error}", file=sys.stderr)  # noqa: T201 - for people, before the logs are set up
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        os.umask(umask)


async def serve(data_dir: Path | None, port: int | None, demo: bool, clock: Instant | None) -> int:
    """Start everything, print the address, and serve. Port 0 means any free port."""
    given = dev_settings.read_given_settings()
    if demo:
        demo_module.require_sandbox(given)
    with open_listener(given.web.host, given.web.port if port is None else port) as listener:
        port, brand = listener.getsockname()[1], demo_module.BRAND if demo else None
        embedded = EmbeddedTactful(data_dir or given.data_dir, port=port, clock=clock, brand=brand)
        level = given.log_level if dev_settings.is_given(given, "TACTFUL_LOG_LEVEL") else "warning"
        logs.configure_logging("tactful", level=level, on_line=log_counter(embedded.registry))
        await embedded.start()
        tune_garbage_collector()  # a scan of all that is loaded would hold the loop for 0.16 s, every few seconds
        try:
            await _serve_until_stopped(embedded, listener, demo)
        finally:
            await embedded.stop()
    return 0


async def _serve_until_stopped(embedded: EmbeddedTactful, listener: socket.socket, demo: bool) -> None:
    demo_shop = DemoShop(embedded)
    embedded.services.serve_development_api(demo_module.demo_routes(demo_shop))

    def on_shutdown() -> None:
        embedded.begin_shutdown()
        logs.log("stopping", reason=server.ended_by, open_requests=server.open_requests)

    web = embedded.settings.web
    server = create_server(embedded.app, host=web.host, port=web.port, drain=5, on_shutdown=on_shutdown)
    for task in embedded.jobs():
        task.add_done_callback(lambda task: server.end(f"the job `{task.get_name()}` has ended"))
    logs.log("started", version=VERSION, commit=commit(), role="dev", host=web.host, port=web.port)
    start_task = asyncio.create_task(demo_shop.try_start()) if demo else None
    link = await embedded.services.orchestrator.sign_in.create_link("admin", Role.ADMIN)
    print(_format_banner(embedded, link, demo), file=sys.stderr, flush=True)  # noqa: T201 - for people
    try:
        with _publish_address(embedded):
            await server.serve(sockets=[listener])
    finally:
        if start_task is not None:
            start_task.cancel()
            await asyncio.gather(start_task, return_exceptions=True)
        await demo_shop.stop()


@contextmanager
def _publish_address(embedded: EmbeddedTactful) -> Iterator[None]:
    """Write the address to the data directory, where the command line finds it, and remove it at the end."""
    path = embedded.directory / ADDRESS_FILE
    path.write_text(f"{embedded.address}\n", "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _format_banner(embedded: EmbeddedTactful, link: str, demo: bool) -> str:
    settings = embedded.settings
    adapters = sorted({route.adapter for channel in settings.adapters for route in settings.routes_of(channel)})
    is_sandbox = not any(settings.leaves_installation(channel) for channel in settings.adapters)
    lines = [
        "Tactful is running in one process. Not for production.",
        "",
        f"Address   {embedded.address}",
        f"Console   {link}",
        "          valid once, for 15 minutes; later sign in with a key from keys.json",
        f"Data      {embedded.directory}   (keys in keys.json)",
        f"Delivery  {', '.join(adapters) or OFF}{': nothing leaves this machine' if is_sandbox else ''}",
    ]
    if demo:
        lines.append(f"Customer  {demo_module.preferences_link(embedded)}")
        lines.append("          what Ada gets, and may choose: the page behind a link in each of her messages")
    if isinstance(embedded.clock, ManualClock):
        lines.append(f"Clock     stopped at {format_instant(embedded.clock.now())}")
    if load_settings(DeploymentSettings).data_dir.resolve() != embedded.directory.resolve():
        lines.append(f"Commands  export TACTFUL_DATA_DIR={embedded.directory.resolve()}")
    lines += ["", *_suggest_commands(demo)]
    width = max(map(len, lines)) + 2
    body = [f"│ {line.ljust(width - 1)}│" for line in lines]
    return "\n".join([f"╭{'─' * width}╮", *body, f"╰{'─' * width}╯"])


def _suggest_commands(demo: bool) -> list[str]:
    """Commands to try that work on what there is: without the demo there is neither a customer nor a campaign."""
    if demo:
        commands = [
            ("tactful why ada referral-ask", "would she get this message now, rule by rule"),
            ("tactful events send shop.order.delivered --customer ada --set total=80", ""),
            ("tactful events tail", "the decisions of the shop, as they are made"),
        ]
    else:
        commands = [
            ("tactful demo start", "an imaginary shop with 200 customers"),
            ("tactful campaigns apply FILE.yaml", "a campaign of your own"),
            ("tactful doctor", "checks this installation"),
        ]
    command_width = max(len(command) for command, why in commands if why)
    texts = [f"{command.ljust(command_width)}   {why}" if why else command for command, why in commands]
    return [f"{'Try' if number == 0 else '':<10}{text}" for number, text in enumerate(texts)]
