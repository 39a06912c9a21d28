"""`tactful lab` as a process: where it listens, what a kill leaves behind, and its commands."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.lab.lab_process import is_loopback
from tests.support.command_line import run
from tests.support.running_lab import LabProcess, lab_process
from tests.support.servers import free_port

pytestmark = pytest.mark.wired


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    with lab_process(tmp_path_factory.mktemp("lab") / "data", "--fault", "too_many=0", "--seed", "5") as running:
        yield running


def mail(lab: LabProcess, number: int) -> tuple[dict[str, str], dict[str, object]]:
    """Headers and body of a mail at Resend."""
    key = lab.environment("resend")["TACTFUL_RESEND__KEY"]
    tags = [{"name": "tactful_message", "value": f"msg_{number}"}]
    body: dict[str, object] = {"from": "a@x.org", "to": ["b@x.org"], "subject": "x", "html": "x", "tags": tags}
    return {"authorization": f"Bearer {key}", "idempotency-key": f"msg_{number}"}, body


async def send(lab: LabProcess, client: httpx.AsyncClient, number: int) -> bool:
    headers, body = mail(lab, number)
    try:
        answer = await client.post(f"{lab.url}/resend/emails", json=body, headers=headers)
    except httpx.HTTPError:
        return False
    assert answer.status_code == 200, answer.text
    return True


async def test_a_kill_hides_nothing_that_was_answered(lab: LabProcess) -> None:
    """Again and again while requests are under way; and what was taken once is known afterwards."""
    answered: set[int] = set()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for turn in range(3):
            numbers = range(turn * 1000, turn * 1000 + 400)

            async def send_all(numbers: range = numbers) -> None:
                for number in numbers:
                    if await send(lab, client, number):
                        answered.add(number)
                    else:
                        return

            sending = [asyncio.create_task(send_all(numbers[part::4])) for part in range(4)]
            await asyncio.sleep(0.15 + 0.1 * turn)
            await asyncio.to_thread(lab.end, signal.SIGKILL)
            await asyncio.gather(*sending)
            await asyncio.to_thread(lab.start)
        effects = lab.evidence.effects("resend")
        assert len(answered) > 10
        assert {f"msg_{number}" for number in answered} <= effects.keys()
        assert set(effects.values()) == {1}
        again = sorted(answered)[:20]
        assert all([await send(lab, client, number) for number in again])
    assert lab.evidence.effects("resend") == effects
    assert [each.number for each in lab.evidence.arrivals] == list(range(1, len(lab.evidence.arrivals) + 1))


def test_it_ends_at_a_signal(tmp_path: Path) -> None:
    with lab_process(tmp_path / "data") as lab:
        assert (tmp_path / "data" / "address").read_text() == f"{lab.url}\n"
        assert lab.end() == 0
        assert not (tmp_path / "data" / "address").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--allow-remote allows it"),
        (["--receipts", "https://tactful.example.org"], "--allow-remote allows it"),
        (["--fault", "fire"], "there is no fault `fire`"),
        (["--fault", "slow=2"], "is no share"),
        (["--port", "PORT"], "cannot listen"),
        (["--script", "SCRIPT"], "/faults/0/fault"),
    ],
)
def test_it_does_not_start_with_what_it_cannot_do(
    lab: LabProcess, tmp_path: Path, options: list[str], words: str
) -> None:
    (tmp_path / "script.json").write_text('{"faults": [{"fault": "fire"}]}')
    known = {"PORT": str(lab.port), "SCRIPT": str(tmp_path / "script.json")}
    usual = ["--data-dir", str(tmp_path / "data"), "--port", str(free_port())]
    done = run("lab", *usual, *(known.get(each, each) for each in options))
    assert done.code != 0
    assert words in " ".join(done.err.replace("│", " ").split())


def test_two_labs_cannot_share_a_directory(lab: LabProcess) -> None:
    done = run("lab", "--data-dir", lab.directory, "--port", str(free_port()))
    assert (done.code, "another lab writes" in done.err) == (1, True)


def test_its_settings_are_commands_for_a_shell(lab: LabProcess) -> None:
    done = run("lab", "settings", "resend", "--data-dir", lab.directory)
    lines = [line.removeprefix("export ").partition("=") for line in done.out.splitlines()]
    given = {name: value for name, _, value in lines}
    assert given["TACTFUL_ADAPTERS__EMAIL"] == "resend"
    assert given["TACTFUL_OUTBOUND__NETWORKS"] == "127.0.0.0/8"
    assert given["TACTFUL_MAIL__FROM_ADDRESS"] == "news@shop.example"
    own = lab.environment("resend")
    assert own.items() <= given.items() and own["TACTFUL_RESEND__URL"] == f"{lab.url}/resend"
    push = run("lab", "settings", "webhook", "--data-dir", lab.directory).out
    assert "TACTFUL_ADAPTERS__PUSH=webhook" in push and "TACTFUL_MAIL" not in push
    unknown = run("lab", "settings", "pigeon", "--data-dir", lab.directory)
    assert unknown.code == 1 and "resend" in unknown.err


async def test_the_log_is_shown(lab: LabProcess) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        assert await send(lab, client, 99_001)
    shown = run("lab", "log", "--data-dir", lab.directory, "-o", "json")
    assert shown.data[-1]["message_id"] == "msg_99001" or len(shown.data) == 1000
    assert "accepted" in run("lab", "log", "--data-dir", lab.directory).out
    assert run("lab", "receipts", "--data-dir", lab.directory).code == 0


def test_a_script_is_shown_and_replaced(lab: LabProcess, tmp_path: Path) -> None:
    shown = run("lab", "script", "--data-dir", lab.directory)
    assert "fault: too_many" in shown.out and "seed: 5" in shown.out
    script = tmp_path / "script.yaml"
    script.write_text("fates: {bounce: 0.5}\n")
    assert run("lab", "script", script, "--data-dir", lab.directory).code == 0
    assert "bounce: 0.5" in run("lab", "script", "--data-dir", lab.directory).out
    script.write_text("fates: {luck: 0.5}\n")
    assert "there is no fate luck" in run("lab", "script", script, "--data-dir", lab.directory).err


def test_where_no_lab_runs_that_is_said(tmp_path: Path) -> None:
    done = run("lab", "log", "--data-dir", tmp_path)
    assert done.code == 1 and "no lab runs" in done.err
    (tmp_path / "address").write_text("http://127.0.0.1:9\n")
    assert "cannot reach the lab" in run("lab", "log", "--data-dir", tmp_path).err


def test_this_machine_has_several_names() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "10.0.0.1", "localhost.example.org", "::")))


def test_the_log_is_json_by_lines(lab: LabProcess) -> None:
    for line in (lab.directory / "arrivals.jsonl").read_text().splitlines()[:5]:
        assert {"number", "at", "provider", "outcome"} <= json.loads(line).keys()
