"""The log of a lab: on disk before anybody is answered, whole after a crash, and never silently short."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from services.lab import arrival_log
from services.lab.arrival_log import Arrival, ArrivalLog, LogUnusable, read_arrivals
from tests.support.running_lab import LabEvidence

AT = "2026-03-02T09:00:00Z"


def arrival(number: int, message_id: str = "msg_1", outcome: str = "accepted", key: str | None = None) -> Arrival:
    return Arrival(number, AT, "post", outcome, message_id, key, f"digest-{number}", f"id-{number}", 200)  # type: ignore[arg-type]


async def test_a_line_is_on_disk_when_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        synced.append((tmp_path / "log").stat().st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    log = ArrivalLog(tmp_path / "log")
    await log.append(arrival(1))
    assert synced == [(tmp_path / "log").stat().st_size] != [0]
    await log.close()


async def test_many_requests_share_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(os, "fsync", syncs.append)
    log = ArrivalLog(tmp_path / "log")
    await asyncio.gather(*(log.append(arrival(number)) for number in range(1, 101)))
    assert [each.number for each in read_arrivals(tmp_path / "log")] == list(range(1, 101))
    assert len(syncs) <= 3
    await log.close()


async def test_a_new_start_remembers_what_was_there(tmp_path: Path) -> None:
    log = ArrivalLog(tmp_path / "log")
    await log.append(arrival(1, key="k"))
    await log.append(arrival(2, outcome="repeated", key="k"))
    await log.append(arrival(3, "msg_2", outcome="refused", key="other"))
    await log.close()
    again = ArrivalLog(tmp_path / "log")
    assert (again.count, again.count_requests("post", "msg_1")) == (3, 2)
    found = again.find_acceptance("post", "k", 0)
    assert found is not None and (found.digest, found.provider_id) == ("digest-1", "id-1")
    assert again.find_acceptance("post", "k", found.at + 1) is None
    assert again.find_acceptance("post", "other", 0) is None
    await again.close()


@pytest.mark.parametrize("torn", [b'{"number":2,"at":"20', b"x" * 200_000, b""])
async def test_half_a_line_that_a_crash_has_left_is_none(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "log"
    log = ArrivalLog(path)
    await log.append(arrival(1))
    await log.close()
    with path.open("ab") as file:
        file.write(torn)
    assert [each.number for each in read_arrivals(path)] == [1]
    again = ArrivalLog(path)
    await again.append(arrival(2))
    assert [each.number for each in read_arrivals(path)] == [1, 2]
    await again.close()


async def test_a_log_has_one_writer(tmp_path: Path) -> None:
    log = ArrivalLog(tmp_path / "log")
    with pytest.raises(LogUnusable, match="another lab"):
        ArrivalLog(tmp_path / "log")
    await log.close()
    await ArrivalLog(tmp_path / "log").close()


async def test_another_file_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"hello": 1}\n')
    with pytest.raises(LogUnusable, match="no log of a lab"):
        ArrivalLog(tmp_path / "log")
    with pytest.raises(LogUnusable, match="No such file"):
        ArrivalLog(tmp_path / "nowhere" / "log")


async def test_after_a_failure_nothing_counts_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ArrivalLog(tmp_path / "log")

    def fail(file: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    results = await asyncio.gather(*(log.append(arrival(number)) for number in range(1, 6)), return_exceptions=True)
    monkeypatch.undo()
    results += await asyncio.gather(log.append(arrival(6)), return_exceptions=True)
    assert [type(each) for each in results] == [LogUnusable] * 6
    await log.close()


async def test_a_request_that_is_cancelled_harms_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        time.sleep(0.05)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    log = ArrivalLog(tmp_path / "log")
    first, second = (asyncio.create_task(log.append(arrival(number))) for number in (1, 2))
    await asyncio.sleep(0.01)
    first.cancel()
    await second
    await log.append(arrival(3))
    assert [each.number for each in read_arrivals(tmp_path / "log")] == [1, 2, 3]
    await log.close()


async def test_a_full_log_takes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival_log, "MAX_ARRIVALS", 1)
    log = ArrivalLog(tmp_path / "log")
    await log.append(arrival(1))
    with pytest.raises(LogUnusable, match="another --data-dir"):
        await log.append(arrival(2))
    assert len(LabEvidence(tmp_path / "log").arrivals) == 1
    await log.close()
