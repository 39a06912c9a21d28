"""When and how often the lab tells what became of messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.lab import receipt_sender
from tests.support.lab_adapters import hand_over, lab_adapter
from tests.support.running_lab import LocalLab, local_lab, until

QUICK: Mapping[str, Any] = {"delay": 0, "interval": 0}


@dataclass
class Tactful:
    """Takes receipts; answers with `statuses`, the last one again and again."""

    statuses: list[int] = field(default_factory=lambda: [200])
    taken: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.taken.append((request.path, json.loads(body)["type"], body))
        return web.Response(status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    @property
    def kinds(self) -> list[str]:
        return [kind.removeprefix("email.") for _, kind, _ in self.taken]


@asynccontextmanager
async def telling(tmp_path: Path, tactful: Tactful, **receipts: Any) -> AsyncIterator[LocalLab]:
    """A lab that tells this Tactful."""
    runner = web.ServerRunner(web.Server(tactful.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with local_lab(tmp_path, {"receipts": {**QUICK, **receipts}}, told) as lab:
            yield lab
    finally:
        await runner.cleanup()


async def send(lab: LocalLab, tag: str, id: str = "msg_1") -> None:
    async with lab_adapter(lab, "resend") as adapter:
        assert (await hand_over(adapter, id, f"ada+{tag}@example.org")).outcome == "accepted"


async def rest(lab: LocalLab) -> None:
    await until(lambda: lab.receipts.waiting == 0)


async def test_what_becomes_of_a_message_is_told_in_order(tmp_path: Path) -> None:
    tactful = Tactful()
    async with telling(tmp_path, tactful) as lab:
        await send(lab, "click")
        await rest(lab)
        assert tactful.kinds == ["delivered", "opened", "clicked"]
        assert {path for path, _, _ in tactful.taken} == {"/v1/receipts/resend"}
        assert [(each.kind, each.status) for each in lab.receipts.posted] == [
            ("delivered", 200), ("opened", 200), ("clicked", 200),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "rule", "kinds"),
    [
        ("latebounce", {"reversed": True}, ["bounced", "delivered"]),
        ("complain", {"copies": 3}, ["delivered"] * 3 + ["complained"] * 3),
        ("deliver", {"lost": 1}, []),
        ("silent", {}, []),
        ("bounce", {}, ["bounced"]),
        ("unsubscribe", {}, ["delivered"]),  # Resend has no word for it
    ],
)
async def test_receipts_come_as_the_script_has_it(
    tmp_path: Path, tag: str, rule: Mapping[str, Any], kinds: list[str]
) -> None:
    tactful = Tactful()
    async with telling(tmp_path, tactful, **rule) as lab:
        await send(lab, tag)
        await rest(lab)
    assert tactful.kinds == kinds


async def test_what_was_not_taken_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_sender, "FIRST_WAIT", 0.01)
    tactful = Tactful([503, 500, 200])
    async with telling(tmp_path, tactful) as lab:
        await send(lab, "bounce")
        await rest(lab)
        assert [each.status for each in lab.receipts.posted] == [503, 500, 200]
    assert len({body for _, _, body in tactful.taken}) == 1


async def test_it_is_given_up_some_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_sender, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(receipt_sender, "LAST_WAIT", 0.001)
    async with local_lab(tmp_path, {"receipts": QUICK}) as lab:  # which tells nobody
        await send(lab, "bounce")
        await rest(lab)
        assert [each.status for each in lab.receipts.posted] == [0] * receipt_sender.MAX_POSTS


async def test_a_message_that_was_known_already_is_told_of_once(tmp_path: Path) -> None:
    tactful = Tactful()
    async with telling(tmp_path, tactful) as lab:
        await send(lab, "bounce")
        await send(lab, "bounce")
        await rest(lab)
    assert tactful.kinds == ["bounced"]


async def test_receipts_that_would_wait_without_bound_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_sender, "MAX_WAITING", 1)
    tactful = Tactful()
    async with telling(tmp_path, tactful, delay=0.2) as lab:
        await send(lab, "bounce", "msg_1")
        await send(lab, "bounce", "msg_2")
        assert lab.receipts.left_out == 1
        await rest(lab)
    assert len(tactful.taken) == 1
