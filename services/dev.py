"""`tactful dev`: the embedded whole behind one port, with a small demo that moves."""

import asyncio
import sys
from pathlib import Path

import uvloop

from schemas.roles import Role
from schemas.times import Instant, format_instant
from services.all_in_one import Embedded
from services.demo import Demo
from services.kit import logs
from services.kit.alone import Refused
from services.kit.clock import StandingClock
from services.kit.errors import TactfulError
from services.kit.metrics import count_logs
from services.kit.serve import server
from services.kit.settings import SettingsError


def main(data_dir: Path, port: int, demo: bool, clock: Instant | None) -> int:
    """Serve until a signal comes. Returns the exit code: 0 ok, 1 failed."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(data_dir, port, demo and clock is None, clock))
    except (SettingsError, Refused, TactfulError) as error:
        print(f"tactful dev: {error}", file=sys.stderr)  # noqa: T201 - for people, before the logs are set up
        return 1
    except KeyboardInterrupt:
        return 0


async def serve(data_dir: Path, port: int, demo: bool, clock: Instant | None) -> int:
    """Start everything, say where it is, and serve."""
    embedded = Embedded(data_dir, port=port, clock=clock)
    logs.configure("tactful", level="warning", seen=count_logs(embedded.registry))
    await embedded.start()
    web = server(embedded.app, host="127.0.0.1", port=port, drain=5, leaving=embedded.leave)
    for task in embedded.jobs():
        task.add_done_callback(lambda _: setattr(web, "should_exit", True))
    playing = asyncio.create_task(Demo(embedded).run()) if demo else None
    link = await embedded.together.orchestrator.sign_in.link("admin", Role.ADMIN)
    print(_box(embedded, link, demo), file=sys.stderr, flush=True)  # noqa: T201 - for people
    try:
        await web.serve()
    finally:
        if playing is not None:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        await embedded.stop()
    return 0


def _box(embedded: Embedded, link: str, demo: bool) -> str:
    lines = [
        "Tactful is running in one process. Not for production.",
        "",
        f"Console   {link}",
        "          works once, within 15 minutes; afterwards sign in with a key of keys.json",
        f"Address   {embedded.settings.web.public_url}",
        f"Data      {embedded.directory}   (keys in keys.json)",
        "Delivery  sandbox: nothing leaves this machine",
    ]
    if isinstance(embedded.clock, StandingClock):
        lines.append(f"Clock     stands still at {format_instant(embedded.clock.now())}")
    if demo:
        lines += [
            "",
            "Try       tactful events send shop.order.delivered --customer ada --set total=80 --wait 5s",
            "          tactful why ada referral-ask",
            "          tactful campaigns list",
        ]
    width = max(map(len, lines)) + 2
    body = [f"│ {line.ljust(width - 1)}│" for line in lines]
    return "\n".join([f"╭{'─' * width}╮", *body, f"╰{'─' * width}╯"])
