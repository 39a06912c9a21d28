"""The three services speak https to each other, with certificates that are verified."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.kit.runtime import health_check
from tests.abuse import inputs
from tests.support import servers
from tests.support.certificates import Authority
from tests.support.command_line import run
from tests.support.installation import Installation, world
from tests.support.kafka_event_producer import Sent
from tests.support.seed_documents import TRACKED
from tests.support.service_processes import ADMIN_KEY, Tls

pytestmark = [pytest.mark.wired, pytest.mark.integration, pytest.mark.timeout(240)]


SLOWEST_LIVEZ = 5.0
"""Seconds, on a machine that does other work as well. A handshake that is waited for takes ten, a template that is
parsed on the event loop as long."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(
    postgres_server: servers.Postgres,
    kafka_server: servers.Kafka,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    tls = Tls(authority.sign("tactful"), authority.file)
    directory = tmp_path_factory.mktemp("encrypted")
    with world(postgres_server, kafka_server.bootstrap, directory, ("all",), tls) as made:
        yield made


async def test_an_event_is_decided_on_facts_that_came_by_tls(encrypted: Installation) -> None:
    async with encrypted.shop() as shop:
        [name] = await encrypted.customers(shop, 1, "tls")
        await shop.send(Sent("tls-1", TRACKED, name, {"n": 1}))
    async with asyncio.timeout(60):
        while True:
            decided = await encrypted.evidence.query("SELECT outcome FROM decision WHERE customer = $1", name)
            if decided:
                break
            await asyncio.sleep(0.2)
    assert [row["outcome"] for row in decided] == ["send"]


def test_the_command_line_trusts_the_same_authority(encrypted: Installation, authority: Authority) -> None:
    given = {"TACTFUL_SERVICES__ORCHESTRATOR_URL": encrypted.cluster.orchestrator, "TACTFUL_ADMIN_KEY": ADMIN_KEY}
    listed = run("campaigns", "list", "-o", "json", given={**given, "TACTFUL_SERVICES__CA_FILE": str(authority.file)})
    assert listed.code == 0 and "order-shipped" in listed.out
    refused = run("campaigns", "list", given=given)
    assert refused.code != 0 and "certificate" in refused.err


def test_the_health_check_of_the_image_asks_a_service_by_tls(encrypted: Installation) -> None:
    command = [sys.executable, "-m", health_check.__name__, str(encrypted.cluster["preference"].port)]
    assert subprocess.run(command, cwd=servers.ROOT, check=False).returncode == 0


def test_an_unknown_authority_is_said_by_readiness_and_log(encrypted: Installation, tmp_path: Path) -> None:
    suppression = encrypted.cluster["suppression"]
    environment = suppression.environment
    other = {"TACTFUL_SERVICES__CA_FILE": str(Authority(tmp_path, "other").file)}
    suppression.kill()
    suppression.environment = {**environment, **other}
    suppression.start()

    def readiness() -> str:
        try:
            return httpx.get(f"{suppression.url}/readyz?verbose=1", verify=False, trust_env=False).text
        except httpx.TransportError:
            return ""

    try:
        servers.wait_for(lambda: "is not trusted" in readiness(), "the reason")
        assert "TACTFUL_SERVICES__CA_FILE must hold the authority that signed it" in readiness()
        assert "is not trusted" in suppression.log.read_text()
    finally:
        suppression.kill()
        suppression.environment = environment
        suppression.start()
        suppression.wait_ready()


async def test_floods_of_handshakes_and_costly_work_hold_nobody_up(
    encrypted: Installation, authority: Authority
) -> None:
    """On the server as it runs, with its own event loop and its workers."""
    process = encrypted.cluster["all"]
    address = ("127.0.0.1", process.port)
    silent = [socket.create_connection(address, timeout=5) for _ in range(300)]
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    trusted = ssl.create_default_context(cafile=str(authority.file))
    costly = [each for each in inputs.documents() if each.name in ("openings", "deep _a", "styles")]
    async with httpx.AsyncClient(base_url=process.url, verify=trusted, trust_env=False, timeout=60) as http:
        saving = [asyncio.create_task(http.put(each.path, json=each.body, headers=headers)) for each in costly]
        slowest = 0.0
        for _ in range(50):
            began = time.monotonic()
            assert (await http.get("/livez")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.02)
        assert {answer.status_code for answer in await asyncio.gather(*saving)} <= {201, 422}
    for each in silent:
        each.close()
    assert slowest < SLOWEST_LIVEZ, slowest
