"""`tactful dev`: the embedded whole behind one port, with a small demo that moves."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from schemas.roles import Role
from schemas.times import Instant, format_instant
from services.deployment_settings import DeploymentSettings
from services.development import demo as shop
from services.development.all_services import Embedded
from services.development.demo import Demo
from services.kit.errors import TactfulError
from services.kit.http.server import create_server
from services.kit.observability import logs
from services.kit.observability.metrics import log_counter
from services.kit.runtime.clock import ManualClock
from services.kit.runtime.settings import SettingsError, load_settings
from services.kit.runtime.standalone import StartupRefused

HOST = "127.0.0.1"
ADDRESS = "address"
"""The file in the data directory that says where it answers, for as long as it does."""


def main(data_dir: Path, port: int, demo: bool, clock: Instant | None) -> int:
    """Serve until a signal comes. Returns the exit code: 0 ok, 1 failed."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(data_dir, port, demo and clock is None, clock))
    except (SettingsError, StartupRefused, TactfulError) as error:
        print(f"tactful dev: {error}", file=sys.stderr)  # noqa: T201 - for people, before the logs are set up
        return 1
    except KeyboardInterrupt:
        return 0


async def serve(data_dir: Path, port: int, demo: bool, clock: Instant | None) -> int:
    """Start everything, say where it is, and serve. Port 0 is any free one."""
    if demo:
        shop.refuse_delivery(load_settings(DeploymentSettings).adapters)
    with _listening(port) as listener:
        embedded = Embedded(data_dir, port=listener.getsockname()[1], clock=clock)
        logs.configure_logging("tactful", level="warning", on_line=log_counter(embedded.registry))
        await embedded.start()
        try:
            await _serve(embedded, listener, demo)
        finally:
            await embedded.stop()
    return 0


async def _serve(embedded: Embedded, listener: socket.socket, demo: bool) -> None:
    playing = Demo(embedded)
    embedded.together.develop(shop.router(playing))
    web = create_server(embedded.app, host=HOST, port=embedded.settings.web.port, drain=5, on_shutdown=embedded.leave)
    for task in embedded.jobs():
        task.add_done_callback(lambda _: setattr(web, "should_exit", True))
    opening = asyncio.create_task(playing.play()) if demo else None
    link = await embedded.together.orchestrator.sign_in.link("admin", Role.ADMIN)
    print(_box(embedded, link, demo), file=sys.stderr, flush=True)  # noqa: T201 - for people
    try:
        with _found(embedded):
            await web.serve(sockets=[listener])
    finally:
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        await playing.stop()


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """The port, taken before anything is started. Raises SettingsError when somebody has it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError as error:
            raise SettingsError(
                f"cannot listen on port {port} ({error.strerror}): stop what does, or choose another --port"
            ) from None
        yield listener


@contextmanager
def _found(embedded: Embedded) -> Iterator[None]:
    """The command line finds the address in the data directory while this runs."""
    path = embedded.directory / ADDRESS
    path.write_text(f"{embedded.settings.web.public_url}\n", "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _box(embedded: Embedded, link: str, demo: bool) -> str:
    adapters = sorted(set(embedded.settings.adapters.values()) - {"off"})
    harmless = shop.HARMLESS.issuperset(adapters)
    lines = [
        "Tactful is running in one process. Not for production.",
        "",
        f"Address   {embedded.settings.web.public_url}",
        f"Console   {link}",
        "          works once, within 15 minutes; afterwards sign in with a key of keys.json",
        f"Data      {embedded.directory}   (keys in keys.json)",
        "Delivery  sandbox: nothing leaves this machine" if harmless else f"Delivery  {', '.join(adapters)}",
    ]
    if isinstance(embedded.clock, ManualClock):
        lines.append(f"Clock     stands still at {format_instant(embedded.clock.now())}")
    if load_settings(DeploymentSettings).data_dir.resolve() != embedded.directory.resolve():
        lines.append(f"Commands  export TACTFUL_DATA_DIR={embedded.directory.resolve()}")
    lines += ["", *_ideas(demo)]
    width = max(map(len, lines)) + 2
    body = [f"│ {line.ljust(width - 1)}│" for line in lines]
    return "\n".join([f"╭{'─' * width}╮", *body, f"╰{'─' * width}╯"])


def _ideas(demo: bool) -> list[str]:
    """Three things to try."""
    ideas = [
        ("tactful why ada referral-ask", "would she get it now, rule by rule"),
        ("tactful events send shop.order.delivered --customer ada --set total=80", ""),
    ]
    if demo:
        ideas.append(("tactful events tail", "the decisions of the shop, as they come"))
    else:
        ideas.insert(0, ("tactful demo start", "an imaginary shop with 200 customers"))
    wide = max(len(command) for command, why in ideas if why)
    texts = [f"{command.ljust(wide)}   {why}" if why else command for command, why in ideas]
    return [f"{'Try' if number == 0 else '':<10}{text}" for number, text in enumerate(texts)]
