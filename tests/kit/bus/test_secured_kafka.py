"""Every way to secure the connections to Kafka, on a real broker: what works, and what a refusal says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import connect_by
from services.kit.bus.protocol import Outgoing, Partition, Record
from services.kit.errors import BusGone
from services.kit.runtime.settings import ServiceSettings, SettingsError, load_settings
from tests.support import servers
from tests.support.certificates import Authority
from tests.support.command_line import run
from tests.support.secured_kafka import PASSWORD, SecuredKafka, secured_kafka
from tests.support.token_endpoint import CLIENT, token_endpoint

pytestmark = [pytest.mark.wired, pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def kafka(server_directory: Path) -> Iterator[SecuredKafka]:
    with secured_kafka(server_directory / "secured-kafka") as running:
        yield running


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TACTFUL_")]:
        monkeypatch.delenv(name)


def scram(kafka: SecuredKafka, mechanism: str = "SCRAM-SHA-512", **change: Any) -> dict[str, Any]:
    """Settings for SASL_SSL with a password."""
    return {
        "bootstrap": kafka.scram,
        "security_protocol": "SASL_SSL",
        "ca_file": kafka.authority.file,
        "sasl_mechanism": mechanism,
        "username": "tactful",
        "password": PASSWORD,
        **change,
    }


def mutual_tls(kafka: SecuredKafka, **change: Any) -> dict[str, Any]:
    """Settings for TLS with a certificate of the client."""
    return {
        "bootstrap": kafka.mutual_tls,
        "security_protocol": "SSL",
        "ca_file": kafka.authority.file,
        "certificate_file": kafka.client.certificate,
        "key_file": kafka.client.key,
        **change,
    }


def oauth(kafka: SecuredKafka, url: str, **change: Any) -> dict[str, Any]:
    """Settings for OAUTHBEARER."""
    return {
        "bootstrap": kafka.oauth,
        "security_protocol": "SASL_SSL",
        "ca_file": kafka.authority.file,
        "sasl_mechanism": "OAUTHBEARER",
        "token_url": url,
        "client_id": CLIENT[0],
        "client_secret": CLIENT[1],
        **change,
    }


def bus_of(kafka_settings: dict[str, Any], networks: str = "127.0.0.0/8") -> KafkaBus:
    settings = load_settings(ServiceSettings, kafka=kafka_settings, outbound={"networks": networks})
    return KafkaBus(connect_by(settings))


async def read_one(bus: KafkaBus, topic: str) -> Record:
    """The first record of a topic, by a member of a group."""
    consumer = bus.consumer(f"group-{topic}", [topic])

    async def assigned(partitions: set[Partition]) -> None:
        for partition in partitions:
            await consumer.seek(partition, 0)

    async def revoked(_partitions: set[Partition]) -> None:
        return None

    await consumer.start(assigned, revoked)
    try:
        async with asyncio.timeout(60):
            while True:
                for records in (await consumer.poll(10, 0.2)).values():
                    return records[0]
    finally:
        await consumer.stop()


T = TypeVar("T")


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What a bus answers. A broker on a busy machine may take longer than a bus waits; a refusal stays one."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await ask()
        except BusGone as error:
            if time.monotonic() > deadline or not re.search("in time|within", error.detail):
                raise


async def use_every_client(bus: KafkaBus) -> None:
    """Admin, producer, group member, reader of offsets and probe, each of which has connections of its own."""
    topic = f"topic-{uuid4().hex[:8]}"
    try:
        await patiently(bus.probe)
        await patiently(lambda: bus.ensure_topics({topic: 1}))
        await patiently(lambda: bus.publish([Outgoing(topic, b"k", b"v", ())]))
        assert (await read_one(bus, topic)).value == b"v"
        assert sum((await patiently(lambda: bus.end_offsets(topic))).values()) >= 1
        await patiently(bus.probe)
    finally:
        await bus.close()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
async def test_every_client_signs_in_by_password(kafka: SecuredKafka, mechanism: str) -> None:
    await use_every_client(bus_of(scram(kafka, mechanism)))


async def test_every_client_signs_in_without_tls_where_the_password_is_not_sent(kafka: SecuredKafka) -> None:
    given = scram(kafka, bootstrap=kafka.unencrypted, security_protocol="SASL_PLAINTEXT", ca_file=None)
    await use_every_client(bus_of(given))


async def test_every_client_shows_its_certificate(kafka: SecuredKafka) -> None:
    await use_every_client(bus_of(mutual_tls(kafka)))


async def test_a_key_with_a_password_is_read(kafka: SecuredKafka, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    command = ["openssl", "ec", "-aes256", "-passout", "pass:unlock", "-in", str(kafka.client.key), "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    await use_every_client(bus_of(mutual_tls(kafka, key_file=key, key_password="unlock")))
    for password in ("wrong", None):  # without a password OpenSSL would ask for it at the terminal, and wait
        with pytest.raises(SettingsError, match=r"TACTFUL_KAFKA__KEY_FILE: .*locked.key cannot be used"):
            bus_of(mutual_tls(kafka, key_file=key, key_password=password))


async def test_every_client_signs_in_by_tokens(kafka: SecuredKafka) -> None:
    async with token_endpoint() as endpoint:
        await use_every_client(bus_of(oauth(kafka, endpoint.url)))
    assert len(endpoint.forms) == 1


async def test_new_connections_have_a_fresh_token(kafka: SecuredKafka) -> None:
    async with token_endpoint(life=2) as endpoint:
        bus = bus_of(oauth(kafka, endpoint.url))
        await patiently(bus.probe)
        before = len(endpoint.forms)
        await asyncio.sleep(2.5)
        await patiently(lambda: bus.ensure_topics({"fresh-token": 1}))
        await bus.close()
    assert len(endpoint.forms) > before


async def test_connections_that_a_broker_ends_with_their_token_lose_nothing(kafka: SecuredKafka) -> None:
    """aiokafka shows no second token on a connection; a broker that wants one hangs up."""
    topic, read = f"topic-{uuid4().hex[:8]}", list[bytes | None]()
    async with token_endpoint(life=3) as endpoint:
        bus = bus_of(oauth(kafka, endpoint.url))
        await patiently(lambda: bus.ensure_topics({topic: 1}))
        consumer = bus.consumer(f"group-{topic}", [topic])

        async def assigned(partitions: set[Partition]) -> None:
            for partition in partitions:
                await consumer.seek(partition, len(read))

        async def revoked(_partitions: set[Partition]) -> None:
            return None

        await consumer.start(assigned, revoked)
        sent, deadline = 0, time.monotonic() + 15
        while time.monotonic() < deadline or len(set(read)) < sent:
            if time.monotonic() < deadline:
                record = Outgoing(topic, b"k", str(sent).encode(), ())
                await patiently(partial(bus.publish, [record]))
                sent += 1
            for records in (await consumer.poll(100, 0.1)).values():
                read += [record.value for record in records]
            await patiently(bus.probe)
            assert time.monotonic() < deadline + 60, (sent, len(read))
        await consumer.stop()
        await bus.close()
    assert list(dict.fromkeys(read)) == [str(number).encode() for number in range(sent)]
    assert sent > 5 and len(endpoint.forms) >= 4


async def refusal_of(bus: KafkaBus) -> str:
    """What a probe says, which is what readiness and the log say."""
    with pytest.raises(BusGone) as caught:
        await patiently(bus.probe)
    await bus.close()
    bus.dependency.record_failure(caught.value)
    assert caught.value.detail in bus.dependency.describe()
    return caught.value.detail


async def test_refused_credentials_say_so(kafka: SecuredKafka) -> None:
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"):
        for change in ({"password": "canary-wrong"}, {"username": "nobody"}):
            said = await refusal_of(bus_of(scram(kafka, mechanism, **change)))
            assert said.startswith(
                f"{kafka.scram} refuses user name or password of `{change.get('username', 'tactful')}`"
            )
            assert "correct TACTFUL_KAFKA__USERNAME and TACTFUL_KAFKA__PASSWORD" in said and "canary" not in said


async def test_what_does_not_fit_the_listener_says_so(kafka: SecuredKafka, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    stranger = other.sign("stranger")
    localhost = kafka.scram.replace("127.0.0.1", "localhost")
    untrusted = {"certificate_file": stranger.certificate, "key_file": stranger.key}
    for settings, words in (
        (scram(kafka, ca_file=other.file), f"certificate of {kafka.scram} is not trusted"),
        (scram(kafka, ca_file=None), "TACTFUL_KAFKA__CA_FILE must hold the authority that signed it"),
        (scram(kafka, bootstrap=localhost), f"the certificate of {localhost} is for another host"),
        (scram(kafka, bootstrap=kafka.oauth), f"{kafka.oauth} does not take SCRAM-SHA-512"),
        (scram(kafka, bootstrap=kafka.plain), f"{kafka.plain} closes connections: is it a listener for SASL_SSL?"),
        ({"bootstrap": kafka.scram}, f"{kafka.scram} closes connections: is it a listener for PLAINTEXT?"),
        (mutual_tls(kafka, **untrusted), f"{kafka.mutual_tls} asks for a certificate of ours that it trusts"),
        (mutual_tls(kafka, certificate_file=None, key_file=None), "set or correct TACTFUL_KAFKA__CERTIFICATE_FILE"),
        ({"bootstrap": f"127.0.0.1:{servers.free_port()}"}, "refuses connections"),
        ({"bootstrap": "kafka.invalid:9092"}, "the host of kafka.invalid:9092 is unknown"),
    ):
        assert words in await refusal_of(bus_of(settings))


async def test_tokens_that_a_broker_or_the_endpoint_refuses_say_so(kafka: SecuredKafka) -> None:
    async with token_endpoint(life=-10) as endpoint:
        assert "refuses the tokens of TACTFUL_KAFKA__TOKEN_URL" in await refusal_of(bus_of(oauth(kafka, endpoint.url)))
        said = await refusal_of(bus_of(oauth(kafka, endpoint.url, client_secret="canary-wrong")))
        assert "gives us no token (HTTP 401)" in said and "canary" not in said
    assert "TACTFUL_KAFKA__TOKEN_URL cannot be reached" in await refusal_of(bus_of(oauth(kafka, endpoint.url)))
    with pytest.raises(SettingsError, match="TACTFUL_KAFKA__TOKEN_URL: a URL to call starts with https://"):
        bus_of(oauth(kafka, endpoint.url), networks="")


@pytest.fixture
def suppression(kafka: SecuredKafka, tmp_path: Path) -> dict[str, str]:
    """The environment of a service, with the password in a file."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/TACTFUL_KAFKA__PASSWORD").write_text(f"{PASSWORD}\n")
    given = scram(kafka)
    del given["password"]
    return {
        **os.environ,
        **{f"TACTFUL_KAFKA__{name.upper()}": str(value) for name, value in given.items()},
        "TACTFUL_KAFKA__EVENTS_TOPIC": "secured.events",
        "TACTFUL_SECRETS_DIR": str(tmp_path / "secrets"),
        "TACTFUL_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'suppression.db'}",
        "TACTFUL_DATA_DIR": str(tmp_path),
        "TACTFUL_SERVICE_KEY": "a-service-key-of-the-tests",
        "TACTFUL_ADDRESS_KEY": "an-address-key-of-the-tests",
        "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9",
        "TACTFUL_WEB__PORT": str(servers.free_port()),
    }


def start_suppression(variables: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services.suppression"]
    with log.open("wb") as file:
        return subprocess.Popen(command, env=variables, cwd=servers.ROOT, stdout=file, stderr=file)


def test_a_service_with_a_wrong_password_does_not_start(suppression: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert start_suppression({**suppression, "TACTFUL_KAFKA__PASSWORD": "canary"}, log).wait(120) == 1
    said = log.read_text()
    assert said.startswith("suppression: Kafka does not answer at ") and said.count("\n") == 1, said
    assert "correct TACTFUL_KAFKA__USERNAME and TACTFUL_KAFKA__PASSWORD" in said and "canary" not in said


def test_doctor_signs_in_as_the_services_do_and_says_why_not(suppression: dict[str, str]) -> None:
    given = {
        name: value for name, value in suppression.items() if name.startswith(("TACTFUL_KAFKA", "TACTFUL_SECRETS"))
    }
    assert "there is no topic secured.events" in run("doctor", given=given).out.replace("\n", " ")
    said = " ".join(run("doctor", given={**given, "TACTFUL_KAFKA__PASSWORD": "canary"}).out.split())
    assert "refuses user name or password of `tactful`" in said and "canary" not in said


def test_readiness_and_log_say_why_a_broker_that_came_back_is_not_trusted(
    kafka: SecuredKafka, suppression: dict[str, str], tmp_path: Path
) -> None:
    log, base = tmp_path / "log", f"http://127.0.0.1:{suppression['TACTFUL_WEB__PORT']}"
    process = start_suppression(suppression, log)

    def readiness() -> httpx.Response:
        try:
            return httpx.get(f"{base}/readyz?verbose=1", trust_env=False, timeout=10)
        except httpx.TransportError:
            return httpx.Response(599)

    kept = kafka.server.both.read_text()
    try:
        servers.wait_for(lambda: readiness().status_code == 200, "suppression", 120)
        kafka.broker.stop()
        kafka.server.both.write_text(Authority(tmp_path, "other").sign("broker").both.read_text())
        kafka.broker.start()
        servers.wait_for(lambda: "not trusted" in readiness().text and "_KAFKA__CA_FILE" in readiness().text, "it", 120)
        kafka.broker.stop()
        kafka.server.both.write_text(kept)
        kafka.broker.start()
        servers.wait_for(lambda: readiness().status_code == 200, "the broker's return", 120)
    finally:
        process.terminate()
        process.wait(60)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line for line in lines if line["action"] == "dependency_lost" and "is not trusted" in line["reason"]]
