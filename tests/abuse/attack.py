"""Runs the attack against `tactful dev`, while events come in, and tells how the product fared."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.abuse import inputs
from tests.support.command_line import ROOT, RunningProduct

EVENTS_A_SECOND = 200
ATTACKERS = 4
SLOWEST_ANSWER = 15.0
"""Seconds: what is checked in a worker may take ten."""
HALF_SENT = 300


@dataclass
class Report:
    """What was seen. Latencies in seconds, memory in bytes."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    events: int = 0
    undecided: int = 0
    livez: dict[str, float] = field(default_factory=dict)
    memory_before: int = 0
    memory_after: int = 0
    slowest: tuple[float, str] = (0.0, "")

    def faults(self, slowest_livez: float = 0.1) -> list[str]:
        """What the product promises and did not hold. `slowest_livez`: in seconds, of 99 in 100 answers."""
        found = list(self.failures)
        if self.undecided:
            found.append(f"{self.undecided} events of the last batch were not decided")
        if self.livez["p99"] > slowest_livez:
            p99, allowed = self.livez["p99"] * 1000, slowest_livez * 1000
            found.append(f"/livez: p99 {p99:.0f} ms, at most {allowed:.0f} ms are allowed")
        if self.livez["failed"]:
            found.append(f"/livez failed {self.livez['failed']:.0f} times")
        if self.memory_after - self.memory_before > 256 * 1024 * 1024:
            found.append(f"memory grew from {self.memory_before >> 20} to {self.memory_after >> 20} MiB")
        return found

    def lines(self) -> Iterable[str]:
        """The report for people."""
        yield f"answers by status: {', '.join(f'{status}: {count}' for status, count in sorted(self.statuses.items()))}"
        yield f"good events: {self.events} accepted; of the last batch, not decided: {self.undecided}"
        median, p99 = (self.livez[share] * 1000 for share in ("p50", "p99"))
        yield f"/livez: median {median:.1f} ms, p99 {p99:.1f} ms, of {self.livez['count']:.0f}"
        yield f"memory: {self.memory_before >> 20} MiB before, {self.memory_after >> 20} MiB at most"
        yield f"slowest answer: {self.slowest[0]:.1f} s, {self.slowest[1]}"


async def attack(running: RunningProduct, requests: Sequence[inputs.Request], seconds: float) -> Report:
    """Sends everything at least once, and goes on for `seconds`."""
    report = Report(memory_before=memory_of(running, "VmRSS"))
    pid = process_of(running)
    await activate(running)
    stop = asyncio.Event()
    probe = subprocess.Popen(
        [sys.executable, "-m", "tests.abuse.probe", running.address], cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    limits = httpx.Limits(max_connections=ATTACKERS + 2)
    async with httpx.AsyncClient(base_url=running.address, timeout=60, trust_env=False, limits=limits) as client:
        publisher = asyncio.create_task(publish(running, client, report, stop))
        connections = asyncio.create_task(hold_half_sent(running))
        deadline = time.monotonic() + seconds
        await send_all(running, client, requests, report)
        await asyncio.to_thread(flood_heads, running)
        while time.monotonic() < deadline:
            await send_all(running, client, requests, report)
        stop.set()
        last = await publisher
        await connections
        report.livez = json.loads(probe.communicate("")[0])
        report.undecided = await count_undecided(running, client, last, report)
    if process_of(running) != pid:
        report.failures.append("the process has been started anew")
    report.memory_after = memory_of(running, "VmHWM")
    return report


async def activate(running: RunningProduct) -> None:
    """Leads the campaigns that attack when events come through their lives."""
    for document in inputs.active_campaigns():
        path = f"/v1/campaigns/{document['key']}"
        await asyncio.to_thread(running.ask, "PUT", path, document)
        await asyncio.to_thread(running.ask, "POST", f"{path}/submit")
        headers = {"Authorization": f"Bearer {running.keys['reviewer']}"}
        answer = await asyncio.to_thread(
            httpx.post, f"{running.address}{path}/approve", headers=headers, trust_env=False
        )
        answer.raise_for_status()
        await asyncio.to_thread(running.ask, "POST", f"{path}/activate")


async def send_all(
    running: RunningProduct, client: httpx.AsyncClient, requests: Sequence[inputs.Request], report: Report
) -> None:
    """Sends the requests once, some at a time."""
    waiting = iter(requests)

    async def send_next() -> None:
        for request in waiting:
            await send(running, client, request, report)

    async with asyncio.TaskGroup() as attackers:
        for _ in range(ATTACKERS):
            attackers.create_task(send_next())


async def send(running: RunningProduct, client: httpx.AsyncClient, request: inputs.Request, report: Report) -> None:
    """Sends one request. An answer from 500 on, a late one and none are failures."""
    headers = {"Authorization": f"Bearer {running.keys.get(request.key, request.key)}"}
    body = request.body if isinstance(request.body, bytes | None) else json.dumps(request.body).encode()
    if body is not None:
        headers["content-type"] = request.media_type
    began = time.monotonic()
    try:
        answer = await client.request(request.method, request.path, content=body, headers=headers)
    except httpx.HTTPError as error:
        report.failures.append(f"{request.name}: {type(error).__name__}")
        return
    took = time.monotonic() - began
    report.statuses[answer.status_code] += 1
    report.slowest = max(report.slowest, (took, request.name))
    if answer.status_code >= 500 or took > SLOWEST_ANSWER:
        report.failures.append(f"{request.name}: {answer.status_code} after {took:.1f} s: {answer.text[:200]}")


async def publish(
    running: RunningProduct, client: httpx.AsyncClient, report: Report, stop: asyncio.Event
) -> list[dict[str, Any]]:
    """Sends good events at a steady rate. Returns the last ones."""
    headers = {"Authorization": f"Bearer {running.keys['admin']}", "content-type": "application/cloudevents-batch+json"}
    batch: list[dict[str, Any]] = []
    due = time.monotonic()
    while not stop.is_set():
        batch = [good_event(report.events + number) for number in range(EVENTS_A_SECOND // 10)]
        answer = await client.post("/v1/events", content=json.dumps(batch).encode(), headers=headers)
        if answer.status_code != 202 or {item["status"] for item in answer.json()["items"]} != {"accepted"}:
            report.failures.append(f"good events: {answer.status_code} {answer.text[:200]}")
        report.events += len(batch)
        due += 0.1
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return batch


def good_event(number: int) -> dict[str, Any]:
    """An event as the shop sends them."""
    return {
        "specversion": "1.0",
        "id": f"good-{number}",
        "source": "/abuse/shop",
        "type": "shop.order.shipped",
        "subject": f"abuse-{number % 50}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"order": str(number)},
    }


async def count_undecided(
    running: RunningProduct, client: httpx.AsyncClient, last: Sequence[dict[str, Any]], report: Report
) -> int:
    """How many of the last events are not decided soon."""
    headers = {"Authorization": f"Bearer {running.keys['admin']}"}
    undecided = 0
    for event in last:
        query = {"source": event["source"], "id": event["id"], "customer": event["subject"], "wait": "10s"}
        answer = await client.get("/v1/events", params=query, headers=headers)
        if answer.status_code != 200 or not answer.json()["decided"]:
            undecided += 1
            report.failures.append(f"{event['id']} is not decided: {answer.status_code} {answer.text[:200]}")
    return undecided


async def hold_half_sent(running: RunningProduct) -> None:
    """Requests without an end, from many connections at once, until the server lets go of them."""
    host, port = running.address.removeprefix("http://").split(":")
    writers = []
    for _ in range(HALF_SENT):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v1/campaigns HTTP/1.1\r\nX-Half: ")
        writers.append(writer)
    await asyncio.sleep(1.0)
    for writer in writers:
        writer.close()


def flood_heads(running: RunningProduct) -> None:
    """Heads without end: one header, many headers, a URL."""
    host, port = running.address.removeprefix("http://").split(":")
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


def process_of(running: RunningProduct) -> int:
    """The process that listens."""
    port = running.address.rpartition(":")[2]
    found = subprocess.run(
        ["pgrep", "-f", f"tactful dev --port {port} "], capture_output=True, text=True, check=True
    ).stdout.split()
    return int(found[0])


def memory_of(running: RunningProduct, which: str) -> int:
    """Bytes of memory of the process: now (`VmRSS`), or at most so far (`VmHWM`)."""
    status = Path(f"/proc/{process_of(running)}/status").read_text("ascii")
    [line] = [line for line in status.splitlines() if line.startswith(which)]
    return int(line.split()[1]) * 1024
