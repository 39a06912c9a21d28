"""The adapter `print_folder`: whole files under the message's name, once, however often it is tried."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from schemas.message import HandoverResult, Message
from schemas.times import DAY, parse_instant
from services.kit.runtime.clock import ManualClock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.print_folder import adapter as print_folder
from services.orchestrator.delivery.adapters.print_folder.adapter import PrintFolderAdapter
from services.orchestrator.delivery.adapters.print_folder.declaration import DECLARATION, PrintFolderSettings
from services.orchestrator.delivery.channels.letter.channel import CHANNEL as LETTER
from services.orchestrator.delivery.channels.letter.document import draw_document
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

NOW = parse_instant("2026-03-02T09:00:00Z")
ADDRESS = "Ada Example, 1 Example Street, 12345 Exampleton"


def letter(id: str = "msg_1", to: str = ADDRESS, **content: str) -> Message:
    compiled = LETTER.compile_templates({"subject": "Hi", "html": "<p>Hello</p>", **content})
    return message(id, channel="letter", to=to, content=LETTER.render(compiled, {}, False))


def adapter_in(folder: Path, now: int = NOW) -> PrintFolderAdapter:
    return PrintFolderAdapter(folder, ManualClock(now))


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[PrintFolderAdapter]:
    """For tests/contracts/test_adapters.py."""
    with TemporaryDirectory() as folder:
        yield adapter_in(Path(folder))


async def send(folder: Path, sent: Message | None = None, now: int = NOW, late: bool = False) -> HandoverResult:
    sent = sent or letter()
    guard = RecordingFirstByteGuard(late={sent.id} if late else set())
    [result] = await adapter_in(folder, now).send_batch([sent], guard)
    return result


def visible(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))


async def test_a_letter_is_a_pdf_and_what_the_print_shop_has_to_know(tmp_path: Path) -> None:
    sent = letter()
    assert await send(tmp_path, sent) == HandoverResult("msg_1", "accepted", "msg_1")
    assert visible(tmp_path) == ["msg_1.json", "msg_1.pdf"]
    pdf = (tmp_path / "msg_1.pdf").read_bytes()
    assert pdf == draw_document("msg_1", ADDRESS, sent.content)
    assert json.loads((tmp_path / "msg_1.json").read_bytes()) == {
        "message_id": "msg_1",
        "pdf": "msg_1.pdf",
        "sha256": hashlib.sha256(pdf).hexdigest(),
        "address": ["Ada Example", "1 Example Street", "12345 Exampleton"],
        "format": "din_5008_b",
        "campaign": sent.campaign,
        "class": sent.cls,
        "locale": sent.locale,
    }


async def test_a_letter_that_was_taken_away_is_not_written_again_for_a_week(tmp_path: Path) -> None:
    await send(tmp_path)
    for name in visible(tmp_path):
        (tmp_path / name).unlink()
    for days in (0, 1, 7):
        assert (await send(tmp_path, now=NOW + days * DAY)).outcome == "accepted"
        assert visible(tmp_path) == []
    assert DECLARATION.remembers_for == 7 * 86_400
    await send(tmp_path, now=NOW + 15 * DAY)
    assert visible(tmp_path) == ["msg_1.json", "msg_1.pdf"]


async def test_what_was_taken_is_forgotten_after_a_week(tmp_path: Path) -> None:
    for day in range(12):
        await send(tmp_path, letter(f"msg_{day}"), now=NOW + day * DAY)
    kept = sorted(each.name for each in (tmp_path / ".taken").iterdir())
    assert kept == [f"2026-03-{day:02}" for day in range(6, 14)]


async def test_what_a_process_that_ended_has_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".msg_1.pdf.7.part", 25), (".msg_2.pdf.7.part", 23)):
        (tmp_path / name).touch()
        written = NOW / 1_000_000 - age * 3600
        os.utime(tmp_path / name, (written, written))
    await send(tmp_path)
    assert [each.name for each in tmp_path.glob(".*.part")] == [".msg_2.pdf.7.part"]


async def test_a_letter_that_is_not_finished_has_no_name_that_a_print_shop_looks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    replace = os.replace

    def look_and_replace(source: Path, target: Path) -> None:
        seen.append(visible(tmp_path))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look_and_replace)
    await send(tmp_path)
    assert seen == [[], ["msg_1.pdf"]]  # the JSON file comes last
    assert not list(tmp_path.glob(".*.part"))


async def test_past_its_deadline_nothing_is_written(tmp_path: Path) -> None:
    result = await send(tmp_path, late=True)
    assert (result.outcome, result.detail) == ("retry", "past_deadline")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "outcome", "fault", "waits"),
    [(errno.ENOSPC, "retry", "throttle", True), (errno.EDQUOT, "retry", "throttle", True),
     (errno.EACCES, "retry", "account", False), (errno.EROFS, "retry", "account", False),
     (errno.EIO, "retry", None, False)],
)  # fmt: skip
async def test_a_disk_that_does_not_take_it_loses_nothing(
    code: int, outcome: str, fault: str | None, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(code, "no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        result = await send(tmp_path)
    assert (result.outcome, result.fault, result.detail) == (outcome, fault, errno.errorcode[code])
    assert (result.retry_after is not None) is waits
    assert list(tmp_path.iterdir()) == []
    assert (await send(tmp_path)).outcome == "accepted"


async def test_a_folder_that_is_not_there_refuses_every_letter(tmp_path: Path) -> None:
    result = await send(tmp_path / "letters")
    assert (result.outcome, result.fault, result.detail) == ("retry", "account", "ENOENT")


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (letter(to="A, B, C, D, E", format="us_10"), "address_does_not_fit"),
        (letter(to="東京, Street 1"), "address_does_not_fit"),
        (message("msg_1", channel="letter", to=ADDRESS, content={"text": "x"}), "not_a_letter_KeyError"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_and_others_go_on(sent: Message, detail: str, tmp_path: Path) -> None:
    results = await adapter_in(tmp_path).send_batch([sent, letter("msg_2")], RecordingFirstByteGuard())
    assert [(each.outcome, each.detail) for each in results] == [("rejected", detail), ("accepted", None)]
    assert visible(tmp_path) == ["msg_2.json", "msg_2.pdf"]


def test_the_doctor_looks_for_a_folder_that_can_be_written(tmp_path: Path) -> None:
    def remedy(path: Path | None) -> str | None:
        return DECLARATION.check(PrintFolderSettings(path=path)).remedy

    assert remedy(None) == "set TACTFUL_PRINT_FOLDER__PATH"
    assert str(remedy(tmp_path / "no")).startswith("make the folder")
    assert remedy(tmp_path) is None


def test_without_a_folder_a_process_does_not_start() -> None:
    class Context:
        settings: Any = PrintFolderSettings()

    with pytest.raises(SettingsError, match="TACTFUL_PRINT_FOLDER__PATH"):
        print_folder.create_adapter(Context())  # type: ignore[arg-type]
