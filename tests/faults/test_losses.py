"""A broker, a database or another service is lost: who does not answer is named, callers are answered, and all goes on
by itself when it is back.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.protocol import Outgoing
from services.kit.errors import BusGone
from tests.support import servers
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Sent
from tests.support.seed_documents import customer
from tests.support.service_processes import ADMIN_KEY, FACTS, ROLES, Process

pytestmark = [
    *(pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")),
    # These wait for minutes until readiness follows: a worker of their own, with an installation of its own.
    pytest.mark.xdist_group("losses"),
]

TURNS = 40.0
"""Seconds within which readiness has followed, on a machine that is busy: it takes 15 to 20."""
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}


def look(process: Process, path: str = "/readyz?verbose=1") -> tuple[int, Any]:
    """Status and JSON of one of the routes that answer without anything else."""
    answer = httpx.get(process.url + path, timeout=10)
    return answer.status_code, answer.json()


def series(process: Process, name: str) -> dict[str, float]:
    """The series of a gauge: labels -> value."""
    lines = httpx.get(process.url + "/metrics", timeout=10).text.splitlines()
    return {line.split(" ")[0].removeprefix(name): float(line.split(" ")[1]) for line in lines if line.startswith(name)}


def up(process: Process, dependency: str) -> float | None:
    """tactful_dependency_up of one server, as this process sees it."""
    return series(process, "tactful_dependency_up").get(f'{{dependency="{dependency}"}}')


async def turns(condition: Callable[[], bool], what: str, within: float = TURNS) -> float:
    """Wait for a condition; returns the seconds that it took."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() - began < within, what
        await asyncio.sleep(0.25)
    return time.monotonic() - began


def event(number: str, who: str) -> dict[str, Any]:
    """An event that triggers a campaign."""
    return {
        "specversion": "1.0",
        "id": number,
        "source": "/losses",
        "type": "shop.order.delivered",
        "subject": who,
        "time": "2026-03-02T12:00:00Z",
        "data": {},
    }


async def send(
    world: Installation, body: dict[str, Any], wait: str = "", key: str = ADMIN_KEY
) -> tuple[httpx.Response, float]:
    """POST /v1/events, of an event that will be accepted in the end; the answer, and the seconds until it came."""
    sent = Sent(body["id"], body["type"], body["subject"], body["data"])
    if sent not in world.sent:
        world.sent.append(sent)
    async with httpx.AsyncClient(timeout=120) as client:
        began = time.monotonic()
        answer = await client.post(
            f"{world.cluster.orchestrator}/v1/events{wait}",
            content=json.dumps(body),
            headers={"Authorization": f"Bearer {key}", "content-type": "application/cloudevents+json"},
        )
        return answer, time.monotonic() - began


class LogSoFar:
    """The lines that processes have logged since this was made."""

    def __init__(self, world: Installation) -> None:
        self._files = {name: world.cluster[name].log for name in (*FACTS, *ROLES)}
        self._begins = {name: path.stat().st_size for name, path in self._files.items()}

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The new lines of a process."""
        with self._files[name].open("rb") as file:
            file.seek(self._begins[name])
            return [json.loads(line) for line in file.read().splitlines() if line.startswith(b"{")]

    def actions(self, name: str) -> Counter[str]:
        """How often each action was logged."""
        return Counter(line["action"] for line in self.lines(name))


@asynccontextmanager
async def lost_broker(broker: servers.Kafka, how: str) -> AsyncIterator[None]:
    """Without Kafka: frozen, or killed."""
    broker.freeze() if how == "frozen" else broker.kill()
    try:
        yield
    finally:
        broker.thaw() if how == "frozen" else await asyncio.to_thread(broker.start)


@contextmanager
def frozen(*processes: Process) -> Iterator[None]:
    """Processes that do not answer, though their ports are open."""
    for process in processes:
        process.freeze()
    try:
        yield
    finally:
        for process in processes:
            process.thaw()


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_without_kafka(installed: Installation, broker: servers.Kafka, how: str) -> None:
    cluster, log, who = installed.cluster, LogSoFar(installed), f"no-kafka-{how}"
    installed.api("preference").call("PUT", f"/v1/preferences/{who}", json=customer(who))
    needing = [cluster[name] for name in ("api", "decide", *FACTS)]
    await turns(lambda: bool(series(cluster["decide"], "tactful_consumer_lag_records")), "a lag is measured")
    async with lost_broker(broker, how):
        began = time.monotonic()
        answer, seconds = await send(installed, event(f"{how}-1", who))
        assert (answer.status_code, answer.json()["code"]) == (503, "bus_gone"), answer.text
        assert seconds < 5 and int(answer.headers["retry-after"]) >= 5
        assert "Kafka" in answer.json()["detail"] and "Send the same request again" in answer.json()["detail"]
        assert all(look(process)[0] == 200 for process in needing), "a moment without Kafka changes no readiness"
        for process in needing:
            await turns(lambda process=process: look(process)[0] == 503, f"{process.name} is not ready")  # type: ignore[misc]
            said = look(process)[1]["failing"]
            assert list(said) == ["kafka"]
            assert said["kafka"].startswith("kafka: no answer for ") and f"from {broker.bootstrap}" in said["kafka"]
            assert up(process, "kafka") == 0
        assert time.monotonic() - began > 10
        assert look(cluster["dispatch"])[0] == 200 and not look(cluster["dispatch"])[1]["checks"]["kafka"]["ok"]
        assert series(cluster["decide"], "tactful_consumer_lag_records") == {}, "unknown, and not 0"
        assert series(cluster["decide"], "tactful_consumer_next_record_timestamp_seconds") == {}
        for _ in range(20):
            answer, seconds = await send(installed, event(f"{how}-1", who))
            assert answer.status_code == 503 and seconds < 2
            await asyncio.sleep(2)
        assert all(look(process, "/livez")[0] == 200 for process in needing), "a restart would not help"
    for process in needing:
        await turns(lambda process=process: look(process)[0] == 200, f"{process.name} is ready again")  # type: ignore[misc]
        assert up(process, "kafka") == 1
    answer, _ = await send(installed, event(f"{how}-1", who), "?wait=30s")
    assert answer.status_code == 202, answer.text
    await turns(lambda: bool(series(cluster["decide"], "tactful_consumer_lag_records")), "the lag is known again")
    decided = [item["decision_id"] for item in answer.json()["items"][0].get("decisions", ())]
    kept = installed.api().call("GET", "/v1/decisions", params={"customer": who}).json()["items"]
    assert kept and len(kept) == len({item["message_id"] for item in kept}), "the event, sent often, was decided once"
    assert set(decided) <= {item["decision_id"] for item in kept}
    for name in ("api", "decide", *FACTS):
        await turns(lambda name=name: bool(log.actions(name)["ready"]), f"{name} says so")  # type: ignore[misc]
        actions = log.actions(name)
        assert (actions["dependency_lost"], actions["dependency_back"]) == (1, 1), (name, actions)
        assert (actions["not_ready"], actions["ready"]) == (1, 1), (name, actions)
        assert sum(actions.values()) - actions["request_error"] < 60, (name, actions)


async def test_a_process_that_is_told_to_stop_stops_without_kafka(
    installed: Installation, broker: servers.Kafka
) -> None:
    log = LogSoFar(installed)
    stopped = [installed.cluster[name] for name in ("api", "decide", "preference")]
    async with lost_broker(broker, "frozen"):
        await asyncio.sleep(10)
        for process in stopped:
            process.send(signal.SIGTERM)
        codes = [await asyncio.to_thread(process.wait, 45) for process in stopped]
    assert codes == [0, 0, 0]
    for process in stopped:
        lines = {line["action"]: line for line in log.lines(process.name)}
        assert lines["stopping"]["reason"] == "signal SIGTERM"
        assert lines["stopped"]["exit_code"] == 0
        process.start()
    for process in stopped:
        await asyncio.to_thread(process.wait_ready)


async def test_without_the_database(installed: Installation, database: servers.Postgres) -> None:
    cluster, log, who = installed.cluster, LogSoFar(installed), "no-database"
    shop_key = installed.api().call("POST", "/v1/keys", json={"name": "shop", "role": "publisher"}).json()["key"]
    installed.api("preference").call("PUT", f"/v1/preferences/{who}", json=customer(who))
    with database.frozen():
        body, keys = event("database-1", who), (ADMIN_KEY, shop_key)
        answers = await asyncio.gather(*(send(installed, body, key=keys[number % 2]) for number in range(12)))
        for number, (answer, seconds) in enumerate(answers):
            code = "database_" if number % 2 else "not_audited"  # the administrator's requests are recorded first
            assert answer.status_code == 503 and answer.json()["code"].startswith(code), answer.text
            assert seconds < 5.5 and int(answer.headers["retry-after"]) >= 1
        for name in ("api", "decide", "dispatch", "schedule", *FACTS):
            await turns(lambda name=name: look(cluster[name])[0] == 503, f"{name} is not ready")  # type: ignore[misc]
            assert look(cluster[name])[1]["failing"]["database"].startswith("database: no answer ")
            assert f"from 127.0.0.1:{database.port}/" in look(cluster[name])[1]["failing"]["database"]
            await turns(lambda name=name: up(cluster[name], "database") == 0, f"the gauge of {name}")  # type: ignore[misc]
        for _ in range(3):
            answer, seconds = await send(installed, event("database-1", who))
            assert answer.status_code == 503 and seconds < 2 and "database" in answer.json()["detail"]
        await asyncio.sleep(30)
        assert all(look(cluster[name], "/livez")[0] == 200 for name in (*ROLES, *FACTS))
    for name in (*ROLES, *FACTS):
        await turns(lambda name=name: look(cluster[name])[0] == 200, f"{name} is ready again")  # type: ignore[misc]
    answer, _ = await send(installed, event("database-1", who), "?wait=30s")
    assert answer.status_code == 202 and answer.json()["items"][0]["decisions"], answer.text
    for name in (*ROLES, *FACTS):
        actions = log.actions(name)
        assert (actions["dependency_lost"], actions["dependency_back"]) == (1, 1), (name, actions)
        assert sum(actions.values()) - actions["request_error"] < 60, (name, actions)


@pytest.mark.parametrize("name", FACTS)
async def test_without_the_service_that_knows_the_facts(installed: Installation, name: str) -> None:
    cluster, log, who = installed.cluster, LogSoFar(installed), f"no-{name}"
    installed.api("preference").call("PUT", f"/v1/preferences/{who}", json=customer(who))
    with frozen(cluster[name]):
        answer, seconds = await send(installed, event(f"{name}-1", who))
        assert answer.status_code == 202 and seconds < 5, "an event is taken; its decision waits"
        for role in ("decide", "dispatch", "schedule"):
            await turns(lambda role=role: look(cluster[role])[0] == 503, f"{role} is not ready")  # type: ignore[misc]
            said = look(cluster[role])[1]["failing"][name]
            assert said.startswith(f"{name}: no answer for ") and cluster[name].url in said
            assert up(cluster[role], name) == 0
        await turns(lambda: not look(cluster["api"])[1]["checks"][name]["ok"], "the api names it")
        status, body = look(cluster["api"])
        assert status == 200 and body["checks"][name]["required"] is False
        asked = httpx.get(f"{cluster.orchestrator}/v1/why/{who}", headers=HEADERS, timeout=60)
        assert asked.status_code in (404, 503)
        assert installed.api().call("GET", "/v1/decisions", params={"customer": who}).json()["items"] == []
    for role in ("decide", "dispatch", "schedule"):
        await turns(lambda role=role: look(cluster[role])[0] == 200, f"{role} is ready again")  # type: ignore[misc]

    def is_decided() -> bool:
        return bool(installed.api().call("GET", "/v1/decisions", params={"customer": who}).json()["items"])

    await turns(is_decided, "the decision that waited")
    actions = log.actions("decide")
    assert (actions["dependency_lost"], actions["dependency_back"]) == (1, 1), actions
    assert sum(actions.values()) < 60, actions


async def test_opt_outs_tell_the_truth_without_the_orchestrator(installed: Installation) -> None:
    cluster, who = installed.cluster, "no-orchestrator"
    installed.api("preference").call("PUT", f"/v1/preferences/{who}", json=customer(who))
    with frozen(cluster["api"]):
        began = time.monotonic()
        entry = {"customer": who, "reason": "manual"}
        answer = httpx.post(f"{cluster['suppression'].url}/v1/suppressions", json=entry, headers=HEADERS, timeout=60)
        assert (answer.status_code, answer.json()["enforced"], answer.json()["in_flight"]) == (202, False, None)
        assert time.monotonic() - began < 10
        await turns(lambda: up(cluster["suppression"], "orchestrator") == 0, "suppression names the orchestrator")
        status, body = look(cluster["suppression"])
        await turns(lambda: not look(cluster["suppression"])[1]["checks"]["orchestrator"]["ok"], "readiness names it")
        assert status == 200, "it takes opt-outs all the same"
        assert body["checks"]["orchestrator"]["required"] is False
    await turns(lambda: up(cluster["suppression"], "orchestrator") == 1, "it is back")


async def test_what_was_answered_with_503_is_not_published_when_the_broker_is_back(broker: servers.Kafka) -> None:
    bus, topic = KafkaBus(KafkaConnection(broker.bootstrap)), "no-afterthoughts"
    await bus.ensure_topics({topic: 1})
    await bus.publish([Outgoing(topic, b"k", b"before")])
    async with lost_broker(broker, "killed"):
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(BusGone):
                await bus.publish([Outgoing(topic, b"k", b"refused")])
            assert time.monotonic() - began < 5
    await asyncio.sleep(15)
    (position,) = await bus.publish([Outgoing(topic, b"k", b"after")])
    assert position[1] == 1, "only what was confirmed is in the log"
    began = time.monotonic()
    await bus.close()
    assert time.monotonic() - began < 6
