"""Secrets of adapters that change while the process runs: files, handovers, receipts, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from schemas.message import HandoverResult
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import SystemClock
from services.kit.runtime.settings import load_settings
from services.orchestrator.delivery.adapter_health import AdapterHealth
from services.orchestrator.delivery.adapter_secrets import AdapterSecrets
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.registry import build_adapters, create_adapter
from services.orchestrator.settings import OrchestratorSettings
from tests.support.webhook_receiver import Receiver, RecordingFirstByteGuard, message, serving

pytestmark = pytest.mark.wired


def secret(letter: str) -> str:
    return "whsec_" + base64.b64encode(letter.encode() * 32).decode()


FIRST, SECOND, THIRD = secret("a"), secret("b"), secret("c")
KEY, OTHER = "TACTFUL_WEBHOOK__SECRET", "TACTFUL_WEBHOOK__SECOND_SECRET"


@dataclass
class Running:
    """A process whose adapter posts to a receiver, with its directory of secrets."""

    files: Path
    secrets: AdapterSecrets
    adapters: Any
    settings: OrchestratorSettings
    database: Database
    receiver: Receiver
    registry: Registry

    def write(self, name: str, text: str | bytes) -> None:
        """As deployments do: the new file takes the place of the old one."""
        new = self.files / ".new"
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.replace(self.files / name)

    async def look(self, taken: list[str] | None = None) -> None:
        def build(name: str, own: Any) -> Adapter:
            return create_adapter(name, own, self.settings, self.database, SystemClock())

        noted = [] if taken is None else taken
        await self.secrets.look(self.adapters.by_name, build, noted.append)

    async def signed_by(self) -> list[str]:
        """Which secrets verify what the adapter posts now."""
        await self.adapters.by_name["webhook"].send_batch([message()], RecordingFirstByteGuard())
        headers, body = self.receiver.seen[-1]
        return [each for each in (FIRST, SECOND, THIRD) if _verifies(each, headers, body)]


def _verifies(whose: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Verifier(whose).verify(body.decode(), headers)
    except WebhookVerificationError:
        return False
    return True


@asynccontextmanager
async def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> AsyncIterator[Running]:
    for name in os.environ:
        if name.startswith("TACTFUL_"):
            monkeypatch.delenv(name)
    files = tmp_path / "secrets"
    files.mkdir(exist_ok=True)
    receiver, registry = Receiver(), Registry()
    async with serving(receiver) as url:
        given = {
            "TACTFUL_SECRETS_DIR": str(files),
            "TACTFUL_ADAPTERS__EMAIL": "webhook",
            "TACTFUL_WEBHOOK__URL": url,
            "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
            **variables,
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        settings = load_settings(OrchestratorSettings)
        database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
        adapters = build_adapters(settings, database, SystemClock())
        secrets = AdapterSecrets(settings, registry)
        yield Running(files, secrets, adapters, settings, database, receiver, registry)
        for adapter in adapters.by_name.values():
            await adapter.close()
        await database.close()


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / KEY).write_text(FIRST)
    async with started(tmp_path, monkeypatch) as made:
        yield made


async def test_a_changed_file_is_taken_for_handovers_and_for_receipts(running: Running) -> None:
    assert await running.signed_by() == [FIRST]
    running.write(KEY, SECOND)
    taken: list[str] = []
    await running.look(taken)
    assert await running.signed_by() == [SECOND]
    assert running.secrets.settings_of("webhook").secret.get_secret_value() == SECOND
    assert taken == ["webhook"]


async def test_a_second_secret_comes_and_goes_without_a_restart(running: Running) -> None:
    for files, signed in (({OTHER: SECOND}, [FIRST, SECOND]), ({KEY: SECOND, OTHER: FIRST}, [FIRST, SECOND])):
        for name, text in files.items():
            running.write(name, text)
        await running.look()
        assert await running.signed_by() == signed
    (running.files / OTHER).unlink()
    await running.look()
    assert await running.signed_by() == [SECOND]


async def test_the_log_names_the_setting_and_never_its_value(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tactful")
    running.write(KEY, SECOND)
    await running.look()
    running.write(KEY, "whsec_too-short-a-secret")
    await running.look()
    lines = [(record.msg, record.fields) for record in caplog.records if record.name == "tactful"]  # type: ignore[attr-defined]
    assert lines[0] == ("adapter_secret_changed", {"adapter": "webhook", "settings": [KEY]})
    assert [line[0] for line in lines[1:]] == ["adapter_secret_not_taken"]
    assert KEY in str(lines[1]) and "too-short" not in str(lines) and SECOND not in str(lines)


@pytest.mark.parametrize("broken", ["", "\n", "short", "whsec_AAAAAAAAAAAAAAAA", b"\xff\xfe" * 20])
async def test_a_file_that_cannot_be_used_leaves_the_secret_as_it_is(running: Running, broken: str | bytes) -> None:
    running.write(KEY, broken)
    await running.look()
    assert await running.signed_by() == [FIRST]
    assert running.secrets.settings_of("webhook").secret.get_secret_value() == FIRST
    running.write(KEY, THIRD)
    await running.look()
    assert await running.signed_by() == [THIRD]


async def test_a_file_that_is_gone_leaves_a_secret_that_is_needed(running: Running) -> None:
    (running.files / KEY).unlink()
    await running.look()
    assert await running.signed_by() == [FIRST]
    (running.files / KEY).mkdir()
    await running.look()
    assert await running.signed_by() == [FIRST]


async def test_an_unknown_file_or_a_bad_secret_of_another_adapter_does_not_end_the_process(running: Running) -> None:
    running.write("TACTFUL_WEBHOOK__SECRT", SECOND)
    running.write(KEY, SECOND)
    await running.look()
    assert await running.signed_by() == [FIRST]
    (running.files / "TACTFUL_WEBHOOK__SECRT").unlink()
    await running.look()
    assert await running.signed_by() == [SECOND]


async def test_only_secrets_change(running: Running) -> None:
    async with serving(Receiver()) as elsewhere:
        (running.files / "TACTFUL_DISPATCH__TIMEOUT").write_text("1")
        running.write(KEY, SECOND)
        os.environ["TACTFUL_WEBHOOK__URL"] = elsewhere  # the fixture sets it back
        await running.look()
        assert await running.signed_by() == [SECOND]  # at the receiver of the start
        assert running.settings.dispatch.timeout == 10.0


async def test_without_a_change_nothing_is_read_again(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TACTFUL_NO_SUCH_SETTING", "1")  # reading the settings would fail, and say so
    await running.look()
    assert not caplog.records
    running.write(KEY, SECOND)
    await running.look()
    assert [record.msg for record in caplog.records] == ["secrets_not_read"]


async def test_an_account_in_a_file_changes_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = '{{"webhook2": {{"adapter": "webhook", "secret": "{}", "url": "https://example.com"}}}}'
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "TACTFUL_ACCOUNTS").write_text(accounts.format(FIRST))
    async with started(tmp_path, monkeypatch, **{KEY: FIRST}) as running:
        running.write("TACTFUL_ACCOUNTS", accounts.format(SECOND))
        await running.look()
        assert running.secrets.settings_of("webhook2").secret.get_secret_value() == SECOND
        assert await running.signed_by() == [FIRST]
        running.write("TACTFUL_ACCOUNTS", "{}")
        await running.look()
        assert running.secrets.settings_of("webhook2").secret.get_secret_value() == SECOND


async def test_the_id_of_a_key_is_taken_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ("AKIAFIRST00000000001", "f" * 40), ("AKIASECOND0000000002", "s" * 40)
    (tmp_path / "secrets").mkdir()
    async with started(tmp_path, monkeypatch, **{KEY: FIRST}) as running:
        for id, secret in (first, second):
            running.write("TACTFUL_SES__ACCESS_KEY_ID", id)
            running.write("TACTFUL_SES__KEY", secret)
            running.write("TACTFUL_SES__REGION", "eu-west-1")
            await running.look()
            taken = running.secrets.settings_of("ses")
            assert (taken.access_key_id, taken.key.get_secret_value()) == (id, secret)
        assert taken.region != "eu-west-1"  # is of the start


async def test_a_secret_in_the_toml_file_changes_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tactful.toml"
    config.write_text(f'[webhook]\nsecret = "{FIRST}"\n')
    async with started(tmp_path, monkeypatch, TACTFUL_CONFIG=str(config)) as running:
        config.write_text(f'[webhook]\nsecret = "{SECOND}"\nsecond_secret = "{THIRD}"\n')
        await running.look()
        assert await running.signed_by() == [SECOND, THIRD]
    async with started(tmp_path, monkeypatch, TACTFUL_CONFIG=str(config), **{KEY: FIRST}) as running:
        config.write_text(f'[webhook]\nsecret = "{THIRD}"\n')
        await running.look()
        assert await running.signed_by() == [FIRST]


async def test_what_is_under_way_is_not_cut_off(running: Running) -> None:
    release = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()

    running.receiver.answer = answer
    adapter = running.adapters.by_name["webhook"]
    under_way = asyncio.create_task(adapter.send_batch([message("m-1")], RecordingFirstByteGuard()))
    async with asyncio.timeout(10):
        while not running.receiver.seen:
            await asyncio.sleep(0.005)
    running.write(KEY, SECOND)
    await running.look()
    release.set()
    assert [each.outcome for each in await under_way] == ["accepted"]
    assert await running.signed_by() == [SECOND]


async def test_changes_are_counted(running: Running) -> None:
    for text in (SECOND, "short", THIRD):
        running.write(KEY, text)
        await running.look()
    labels = {"adapter": "webhook", "outcome": "taken"}
    assert running.registry.get_sample_value("tactful_adapter_secret_changes_total", labels) == 2.0


def test_a_refused_account_is_tried_at_once_with_its_new_secret() -> None:
    now = 100.0
    health = AdapterHealth(lambda: now)
    health.start(1)
    health.finish([HandoverResult("m", "retry", fault="account")], 0.1)
    usable = [health.is_usable]
    health.try_again()
    assert [*usable, health.is_usable] == [False, True]
    failing = AdapterHealth(lambda: now)
    failing.start(10)
    failing.finish([HandoverResult("m", "unknown")] * 10, 0.1)
    failing.try_again()
    assert not failing.is_usable
