"""The server of the lab: its control, its limits, and answers that no HTTP server gives by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.lab import lab_server
from services.lab.arrival_log import LogUnusable
from services.lab.provider_registry import load_providers
from tests.support.lab_adapters import hand_over, lab_adapter
from tests.support.running_lab import LocalLab, local_lab


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[LocalLab]:
    async with local_lab(tmp_path) as running:
        yield running


@pytest.fixture
async def client(lab: LocalLab) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=lab.url, trust_env=False, timeout=60) as made:
        yield made


async def test_it_says_what_it_plays(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/lab")).json()
    assert shown["providers"] == list(load_providers()) and {"resend", "slack", "webhook"} < set(shown["providers"])
    assert (shown["arrivals"], shown["receipts"]) == (0, {"posted": 0, "waiting": 0, "left_out": 0})
    for path in ("/", "/other/v3", "/lab/other", "/labs"):
        assert (await client.get(path)).status_code == 404


async def test_the_log_is_shown_from_a_number_on(
    lab: LocalLab, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab_adapter(lab, "postmark") as adapter:
        for number in range(3):
            await hand_over(adapter, f"msg_{number}")
    monkeypatch.setattr(lab_server, "MAX_PAGE", 2)

    async def shown(query: str) -> list[str]:
        return [each["message_id"] for each in (await client.get(f"/lab/log{query}")).json()["items"]]

    assert [await shown(each) for each in ("", "?after=2", "?after=9")] == [["msg_0", "msg_1"], ["msg_2"], []]
    assert (await client.get("/lab/log?after=x")).status_code == 422


async def test_a_script_is_replaced_while_the_lab_runs(lab: LocalLab, client: httpx.AsyncClient) -> None:
    async with lab_adapter(lab, "postmark") as adapter:
        assert (await hand_over(adapter)).outcome == "accepted"
        put = await client.put("/lab/script", json={"faults": [{"fault": "error"}], "seed": 3})
        assert put.status_code == 200 and (await client.get("/lab/script")).json() == put.json()
        assert put.json()["seed"] == 3
        assert (await hand_over(adapter)).outcome == "unknown"
        refused = await client.put("/lab/script", json={"faults": [{"fault": "fire"}]})
        assert refused.status_code == 422 and "/faults/0/fault" in refused.json()["detail"]
        assert (await client.put("/lab/script", content=b"x" * 70_000)).status_code == 413
        assert (await hand_over(adapter)).outcome == "unknown"  # by the script from before


async def test_a_body_is_read_up_to_a_length(
    lab: LocalLab, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_server, "MAX_BODY", 1000)
    answer = await client.post("/postmark/email", content=b"x" * 1001)
    assert answer.status_code == 413
    assert [(each.outcome, each.status) for each in lab.evidence.arrivals] == [("refused", 413)]


async def raw_answer(lab: LocalLab, body: bytes, timeout: float = 5.0) -> list[tuple[float, bytes]]:
    """What comes back to a mail at Postmark, with the time of each piece."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(lab.url.rpartition(":")[2]))
    lines = [
        "POST /postmark/email HTTP/1.1",
        "host: lab",
        f"x-postmark-server-token: {lab.settings('postmark')['key']}",
        "accept: application/json",
        f"content-length: {len(body)}",
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    pieces: list[tuple[float, bytes]] = []
    async with asyncio.timeout(timeout):
        try:
            while piece := await reader.read(65_536):
                pieces.append((time.monotonic(), piece))
        except ConnectionError:
            pass
    writer.close()
    return pieces


MAIL = b'{"From": "a@x.org", "To": "b@x.org", "TextBody": "x"}'


async def test_one_byte_comes_after_another_and_makes_a_whole_answer(tmp_path: Path) -> None:
    async with local_lab(tmp_path, {"faults": [{"fault": "one_byte_a_second", "seconds": 0.002}]}) as lab:
        pieces = await raw_answer(lab, MAIL)
    whole = b"".join(piece for _, piece in pieces)
    assert whole.startswith(b"HTTP/1.1 200 OK\r\ncontent-length: ") and whole.endswith(b'"Message":"OK"}')
    assert len(pieces) > 50 and pieces[-1][0] - pieces[0][0] > 0.1


@pytest.mark.parametrize("fault", ["cut_after_accept", "cut_before_reading"])
async def test_a_connection_is_lost_without_a_byte(tmp_path: Path, fault: str) -> None:
    async with local_lab(tmp_path, {"faults": [{"fault": fault}]}) as lab:
        assert await raw_answer(lab, MAIL) == []
        (arrival,) = lab.evidence.arrivals
    assert (arrival.fault, arrival.status) == (fault, 0)
    assert arrival.outcome == ("accepted" if fault == "cut_after_accept" else "not_read")


async def test_a_lab_that_cannot_keep_its_log_answers_nobody_and_ends(
    lab: LocalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise LogUnusable("full")

    monkeypatch.setattr(lab.lab._log, "append", fail)
    assert await raw_answer(lab, MAIL) == []
    assert lab.lab.failed.is_set()
