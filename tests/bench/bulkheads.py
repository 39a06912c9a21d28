"""What a dead provider costs the other channels: e-mails a second while SMS is healthy, and while it fails.

`python -m tests.bench.bulkheads [MODE ...]` runs the services as processes on PostgreSQL and Kafka. Every second event
sends an e-mail of 2,000 bytes by webhook to a provider on loopback that takes everything, the others an SMS by telnyx
to one that is healthy, or fails as a `Mode` says. A turn has a backlog, and processes that have not seen the provider
fail yet, so that what they need to learn it is measured; it ends when its last e-mail has been taken. Turns alternate,
because the machine changes its pace by the minute: each failing turn is compared with the healthy turns before and
after it.

Last, e-mails alone, and a stop by SIGTERM in mid-load: every message must be with the provider once afterwards.
BENCH_TURNS [3] of each mode, BENCH_EVENTS [16000] a turn. Prints rows for docs/performance.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

import msgspec

from schemas.facts import Address, Consent, Preference
from schemas.times import DAY, Instant
from services.preference.preference_state import PreferenceState
from tests.bench import accounting, load
from tests.bench.contender import frozen, now
from tests.bench.faulty_provider import Mode, ProviderHandle, faulty_provider
from tests.bench.ground import Ground, fetch, ground, value
from tests.bench.handing_over import HTML, TEXT
from tests.bench.ours import READ, OurLoad, Ours, ours

CUSTOMERS: Final = 20_000
TURNS: Final = int(os.environ.get("BENCH_TURNS", "3"))
EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "16000"))
WARM_UP: Final = 600
LOOK_EVERY: Final = 0.1
STUCK: Final = 180.0
"""Seconds after which a turn is given up."""
ANEW: Final = ("decide 1", "decide 2", "dispatch")
"""Processes that hand over: each turn has new ones."""
MAIL, SMS = 0, 1
"""What an event sends: its number modulo 2."""


def campaign(number: int) -> dict[str, Any]:
    """Even ones send an e-mail of 2,000 bytes, odd ones an SMS."""
    document = {**load.campaign(number), "class": "transactional"}
    del document["topic"]
    if number % 2 == MAIL:
        content = {"email": {"en": {"subject": "Your order {{ event.data.order }}", "html": HTML, "text": TEXT}}}
    else:
        content = {"sms": {"en": {"text": "Your order {{ event.data.order }} is on its way."}}}
    return {**document, "channels": list(content), "content": content}


def preference(number: int, at: Instant) -> PreferenceState:
    """A customer with a mailbox and a mobile telephone."""
    name, traits = load.customer(number), msgspec.json.encode({"name": f"Name {number}"})
    addresses = (
        Address("email", f"c{number}@example.org", True),
        Address("sms", f"+4915{100_000_000 + number}", True),
    )
    consents = tuple([Consent(each.channel, "news", "granted", at - 90 * DAY) for each in addresses])
    return PreferenceState(Preference(name, 1, "en", "DE", "Etc/UTC", traits, addresses, consents))


def split_load(mail: int, sms: int) -> OurLoad:
    """E-mails to one port, text messages to another."""
    settings = {
        "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
        "TACTFUL_ADAPTERS__EMAIL": "webhook",
        "TACTFUL_WEBHOOK__URL": f"http://127.0.0.1:{mail}/messages",
        "TACTFUL_ADAPTERS__SMS": "telnyx",
        "TACTFUL_TELNYX__URL": f"http://127.0.0.1:{sms}",
        "TACTFUL_TELNYX__KEY": "a-key-of-the-benchmark",
        "TACTFUL_TELNYX__SENDER": "+4930123456",
        "TACTFUL_MAIL__FROM_ADDRESS": "shop@shop.example",
    }
    return OurLoad("bench.bulkheads", settings, campaign, preference, lambda number, at: None)


@dataclass(frozen=True)
class Turn:
    """What a turn gave. Rates a second; processor time in microseconds per e-mail, of all processes."""

    mode: str
    mails: float
    decided: float
    cpu: float
    texts: int
    """Text messages that were taken meanwhile."""


class BulkheadRun:
    """Tactful, its two providers, and turn after turn."""

    def __init__(self, here: Ground, tactful: Ours, mail: ProviderHandle, sms: ProviderHandle) -> None:
        self._ground, self._tactful, self._mail, self._sms = here, tactful, mail, sms
        self._next = 0
        self._has_failed = True
        """Whether the processes have seen a provider fail: also at first, so that they are warmed up."""

    async def take_turn(self, mode: Mode) -> Turn:
        """A backlog, half e-mails and half text messages."""
        await self._begin(mode)
        return await self._backlog(mode.value, EVENTS, (MAIL, SMS))

    async def mails_alone(self) -> Turn:
        """A backlog of e-mails alone."""
        await self._begin(Mode.healthy)
        return await self._backlog("e-mails alone", EVENTS, (MAIL,))

    async def stop_in_mid_load(self) -> tuple[int, int, int]:
        """Stop all that hands over while a third is done, and start it again. Returns how many e-mails were wanted,
        how many were taken, and how many of them for the first time.
        """
        await self._begin(Mode.healthy)
        before = self._mail.report()
        with frozen(self._tactful.pids()):
            await self._lay_ready(EVENTS, (MAIL,))
        await self._until(lambda: self._mail.report().taken >= before.taken + EVENTS // 3)
        await self._restart()
        await self._until(lambda: self._mail.report().different >= before.different + EVENTS)
        await asyncio.sleep(2.0)  # what comes twice would come now
        after = self._mail.report()
        return EVENTS, after.taken - before.taken, after.different - before.different

    async def _backlog(self, name: str, count: int, kinds: Sequence[int]) -> Turn:
        read, taken, texts = await self._read(), self._mail.report().taken, self._sms.report().taken
        with frozen(self._tactful.pids()):
            await self._lay_ready(count, kinds)
            before, began = accounting.cpu(self._tactful.groups), time.time()
        decided: float | None = None

        async def look() -> bool:
            nonlocal decided
            if decided is None and await self._read() >= read + count:
                decided = time.time()
            return decided is not None and self._mail.report().taken >= taken + count // len(kinds)

        await self._until(look)
        spent = accounting.spent(before, accounting.cpu(self._tactful.groups))
        mails, report = count // len(kinds), self._mail.report()
        assert decided is not None
        return Turn(
            name, mails / (report.last - began), count / (decided - began), sum(spent.values()) / mails,
            int(self._sms.report().taken - texts),
        )  # fmt: skip

    async def _begin(self, mode: Mode) -> None:
        """Processes that have not seen any provider fail, and nothing left of the turn before; now SMS behaves so."""
        if self._has_failed:
            await self._begin_anew()
        self._sms.follow(mode)
        self._has_failed = mode is not Mode.healthy

    async def _begin_anew(self) -> None:
        self._sms.follow(Mode.healthy)
        await self._restart()
        await self._forget_waiting()
        await self._ground.shared(self._tactful.group, self._tactful.deciders)
        taken = self._mail.report().taken
        await self._lay_ready(WARM_UP, (MAIL,))
        await self._until(lambda: self._mail.report().taken >= taken + WARM_UP)
        await self._tactful.analyse()
        await asyncio.sleep(1.0)

    async def _restart(self) -> None:
        processes = [self._tactful.processes[name] for name in ANEW]
        for process in processes:
            await asyncio.to_thread(process.terminate, 60)
        for process in processes:
            process.start()
        for process in processes:
            await asyncio.to_thread(process.wait_ready)
            assert process.running is not None
            self._tactful.groups[process.name] = process.running.pid

    async def _forget_waiting(self) -> None:
        """Text messages that still wait would be sent in the next turn."""
        for table in ("outbox", "timer"):
            await fetch(self._tactful.databases["orchestrator"], f"DELETE FROM {table}")

    async def _lay_ready(self, count: int, kinds: Sequence[int]) -> None:
        first, self._next = self._next, self._next + 2 * count // len(kinds)
        numbers = (number for number in range(first, self._next) if number % 2 in kinds)
        await self._ground.publish(self._tactful.topic, [load.event(each, CUSTOMERS, now()) for each in numbers])

    async def _read(self) -> int:
        return await value(self._tactful.databases["orchestrator"], READ)

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(STUCK):
            while True:
                found = condition()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(LOOK_EVERY)


@asynccontextmanager
async def bulkhead_run(directory: Path) -> AsyncIterator[BulkheadRun]:
    """Everything started."""
    with ground(directory / "ground") as here, faulty_provider() as mail, faulty_provider() as sms:
        async with ours(here, directory, CUSTOMERS, split_load(mail.port, sms.port)) as tactful:
            yield BulkheadRun(here, tactful, mail, sms)
        await here.bus.close()


def compare(turns: Sequence[Turn]) -> Mapping[str, list[Turn]]:
    """Each failing turn, as ratios to the mean of the healthy turns before and after it."""
    found: dict[str, list[Turn]] = {}
    for before, turn, after in zip(turns, turns[1:], turns[2:], strict=False):
        if turn.mode == Mode.healthy.value:
            continue
        found.setdefault(turn.mode, []).append(
            Turn(
                turn.mode,
                turn.mails / mean([before.mails, after.mails]),
                turn.decided / mean([before.decided, after.decided]),
                turn.cpu / mean([before.cpu, after.cpu]),
                turn.texts,
            )
        )
    return found


def write_rows(turns: Sequence[Turn]) -> str:
    """The table for docs/performance.md."""
    lines = [
        "| SMS | e-mails/s | ratio to healthy (turns) | decided/s | ratio | CPU us/e-mail | ratio |",
        "|---" * 7 + "|",
    ]
    ratios = compare(turns)
    for mode in dict.fromkeys(turn.mode for turn in turns):
        of_mode = [turn for turn in turns if turn.mode == mode]
        figures = [median(getattr(turn, name) for turn in of_mode) for name in ("mails", "decided", "cpu")]
        each = ratios.get(mode)
        if each is None:
            cells = ["", "", ""]
        else:
            spread = ", ".join(f"{turn.mails:.2f}" for turn in each)
            cells = [
                f"{mean(turn.mails for turn in each):.2f} ({spread})",
                *(f"{mean(getattr(turn, name) for turn in each):.2f}" for name in ("decided", "cpu")),
            ]
        pairs = (f"{figure:,.0f} | {cell}" for figure, cell in zip(figures, cells, strict=True))
        lines.append(f"| {mode} | {' | '.join(pairs)} |")
    return "\n".join(lines)


async def main(modes: Sequence[Mode]) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="tactful-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        async with bulkhead_run(Path(name)) as run:
            turns = []
            for mode in [each for _ in range(TURNS) for failing in modes for each in (Mode.healthy, failing)]:
                turns.append(await _told(run.take_turn(mode)))
            turns.append(await _told(run.take_turn(Mode.healthy)))
            alone = [await _told(run.mails_alone()) for _ in range(TURNS)]
            wanted, taken, different = await run.stop_in_mid_load()
    print(f"\n{accounting.machine()}; load average {accounting.load_average():.1f}")
    print(write_rows(turns))
    rates = ", ".join(f"{turn.mails:,.0f}" for turn in alone)
    print(f"\ne-mails alone, decided and handed over: {rates} a second")
    print(f"stopped in mid-load: of {wanted:,} e-mails {different:,} arrived, {taken - different:,} of them twice")


async def _told(turn: Any) -> Turn:
    found: Turn = await turn
    print(json.dumps({**found.__dict__, "load": accounting.load_average()}), flush=True)
    return found


if __name__ == "__main__":
    asyncio.run(main([Mode(each) for each in sys.argv[1:]] or [each for each in Mode if each is not Mode.healthy]))
