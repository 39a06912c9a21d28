"""Runs the attack, while events come in, and tells how the product fared."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.abuse import inputs
from tests.abuse.targets import Target
from tests.support.command_line import ROOT

EVENTS_A_SECOND = 200
ATTACKERS = 4
SLOWEST_ANSWER = 15.0
"""Seconds: what is checked in a worker may take ten."""
HALF_SENT = 300
MORE_MEMORY = 256 * 1024 * 1024
"""Bytes by which each process may grow."""
PATIENCE = 60.0
"""Seconds after the last good event until all must be decided."""


@dataclass
class Report:
    """What was seen. Latencies in seconds, memory in bytes."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    events: int = 0
    decided: int = 0
    livez: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of each service: p50, p99, count, failed."""
    memory_before: Mapping[str, int] = field(default_factory=dict)
    memory_after: Mapping[str, int] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")

    def faults(self, slowest_livez: float = 0.1) -> list[str]:
        """What the product promises and did not hold. `slowest_livez`: in seconds, of 99 in 100 answers."""
        found = list(self.failures)
        if self.decided != self.events:
            found.append(f"of {self.events} good events {self.decided} are decided")
        for name, seen in self.livez.items():
            if seen["p99"] > slowest_livez:
                p99, allowed = seen["p99"] * 1000, slowest_livez * 1000
                found.append(f"/livez of {name}: p99 {p99:.0f} ms, at most {allowed:.0f} ms are allowed")
            if seen["failed"]:
                found.append(f"/livez of {name} failed {seen['failed']:.0f} times")
        for name, before in self.memory_before.items():
            after = self.memory_after.get(name, 0)
            if after - before > MORE_MEMORY:
                found.append(f"memory of {name} grew from {before >> 20} to {after >> 20} MiB")
        return found

    def lines(self) -> Iterable[str]:
        """The report for people."""
        yield f"answers by status: {', '.join(f'{status}: {count}' for status, count in sorted(self.statuses.items()))}"
        yield f"good events: {self.events} accepted, {self.decided} decided"
        for name, seen in self.livez.items():
            median, p99 = (seen[share] * 1000 for share in ("p50", "p99"))
            yield f"/livez of {name}: median {median:.1f} ms, p99 {p99:.1f} ms, of {seen['count']:.0f}"
        for name, before in self.memory_before.items():
            yield f"memory of {name}: {before >> 20} MiB before, {self.memory_after.get(name, 0) >> 20} MiB at most"
        yield f"slowest answer: {self.slowest[0]:.1f} s, {self.slowest[1]}"


async def attack(target: Target, requests: Sequence[inputs.Request], seconds: float) -> Report:
    """Sends everything at least once, and goes on for `seconds`."""
    report = Report(memory_before=target.memory("VmRSS"))
    await target.activate_campaigns()
    stop = asyncio.Event()
    probe = subprocess.Popen(
        [sys.executable, "-m", "tests.abuse.probe", json.dumps(dict(target.addresses))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    limits = httpx.Limits(max_connections=ATTACKERS + 2)
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as client:
        publisher = asyncio.create_task(publish(target, client, report, stop))
        connections = [asyncio.create_task(hold_half_sent(address)) for address in target.addresses.values()]
        deadline = time.monotonic() + seconds
        await send_all(target, client, requests, report)
        for address in target.addresses.values():
            await asyncio.to_thread(flood_heads, address)
        while time.monotonic() < deadline:
            await send_all(target, client, requests, report)
        stop.set()
        await publisher
        await asyncio.gather(*connections)
        report.livez = json.loads(probe.communicate("")[0])
    report.decided = await target.count_decided(report.events, PATIENCE)
    ended = target.ended()
    report.failures += [f"the process of {name} has ended" for name in ended]
    if not ended:
        report.memory_after = target.memory("VmHWM")
    return report


async def send_all(
    target: Target, client: httpx.AsyncClient, requests: Sequence[inputs.Request], report: Report
) -> None:
    """Sends the requests once, some at a time."""
    waiting = iter(requests)

    async def send_next() -> None:
        for request in waiting:
            await send(target, client, request, report)

    async with asyncio.TaskGroup() as attackers:
        for _ in range(ATTACKERS):
            attackers.create_task(send_next())


async def send(target: Target, client: httpx.AsyncClient, request: inputs.Request, report: Report) -> None:
    """Sends one request. An answer from 500 on, a late one and none are failures."""
    headers = {"Authorization": f"Bearer {target.keys.get(request.key, request.key)}"}
    body = request.body if isinstance(request.body, bytes | None) else json.dumps(request.body).encode()
    if body is not None:
        headers["content-type"] = request.media_type
    began = time.monotonic()
    try:
        url = target.address_for(request.path) + request.path
        answer = await client.request(request.method, url, content=body, headers=headers)
    except httpx.HTTPError as error:
        report.failures.append(f"{request.name}: {type(error).__name__}")
        return
    took = time.monotonic() - began
    report.statuses[answer.status_code] += 1
    report.slowest = max(report.slowest, (took, request.name))
    if answer.status_code >= 500 or took > SLOWEST_ANSWER:
        report.failures.append(f"{request.name}: {answer.status_code} after {took:.1f} s: {answer.text[:200]}")


async def publish(target: Target, client: httpx.AsyncClient, report: Report, stop: asyncio.Event) -> None:
    """Sends good events at a steady rate."""
    headers = {"Authorization": f"Bearer {target.keys['admin']}", "content-type": "application/cloudevents-batch+json"}
    url = target.address_for("/v1/events") + "/v1/events"
    due = time.monotonic()
    while not stop.is_set():
        batch = [good_event(report.events + number) for number in range(EVENTS_A_SECOND // 10)]
        answer = await client.post(url, content=json.dumps(batch).encode(), headers=headers)
        if answer.status_code != 202 or {item["status"] for item in answer.json()["items"]} != {"accepted"}:
            report.failures.append(f"good events: {answer.status_code} {answer.text[:200]}")
        report.events += len(batch)
        due += 0.1
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def good_event(number: int) -> dict[str, Any]:
    """An event as the shop sends them."""
    return {
        "specversion": "1.0",
        "id": f"good-{number}",
        "source": inputs.GOOD_SOURCE,
        "type": "shop.order.shipped",
        "subject": f"abuse-{number % 50}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"order": str(number)},
    }


async def hold_half_sent(address: str) -> None:
    """Requests without an end, from many connections at once, until the server lets go of them."""
    host, port = address.removeprefix("http://").split(":")
    writers = []
    for _ in range(HALF_SENT):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v1/campaigns HTTP/1.1\r\nX-Half: ")
        writers.append(writer)
    await asyncio.sleep(1.0)
    for writer in writers:
        writer.close()


def flood_heads(address: str) -> None:
    """Heads without end: one header, many headers, a URL."""
    host, port = address.removeprefix("http://").split(":")
    beginnings = (b"GET /livez HTTP/1.1\r\nX-Long: ", b"GET /livez HTTP/1.1\r\n", b"GET /")
    pieces = (b"a" * 65_536, b"a: b\r\n" * 10_000, b"a" * 65_536)
    for beginning, piece in zip(beginnings, pieces, strict=True):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            try:
                connection.sendall(beginning)
                for _ in range(1600):  # 100 MiB, where nobody says stop
                    connection.sendall(piece)
            except OSError:
                continue
        raise AssertionError("a head of 100 MiB was taken to its end")
