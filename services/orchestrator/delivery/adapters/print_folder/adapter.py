"""The adapter `print_folder`: a PDF and a JSON file for each letter, named by the message id.

Both are written under other names and renamed when they are complete, the JSON file last: where it is, its PDF is whole
and on the disk. An empty file in `.taken/<day>` says for seven days that a message was there, also when the print shop
has taken it away, so no letter is printed twice.
"""

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.message import HandoverResult, Message
from schemas.times import DAY, SECOND, Instant, format_instant
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.adapters.print_folder.declaration import REMEMBERED_DAYS
from services.orchestrator.delivery.channels.letter.document import draw_document
from services.orchestrator.delivery.channels.letter.typesetting import AddressDoesNotFit
from services.orchestrator.delivery.deadline import PastDeadline
from services.template import RenderError

TAKEN: Final = ".taken"
FULL_DISK_WAIT: Final = 300.0
"""Seconds until a letter is tried again for which there was no room."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_NOT_SET_UP: Final = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS)


class PrintFolderAdapter:
    """Writes letters into a folder. Drawing and waiting for the disk happen in a thread."""

    name = "print_folder"
    idempotent = True

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One letter after the other."""
        return [await self._print(message, first_byte) for message in messages]

    async def close(self) -> None:
        """There is nothing to close."""

    async def _print(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        now = self._clock.now()
        try:
            taken = await asyncio.to_thread(_was_taken, self._folder, message.id, now)
            files = [] if taken else await asyncio.to_thread(_write_files, self._folder, message, now)
        except AddressDoesNotFit:
            return HandoverResult(message.id, "rejected", detail="address_does_not_fit", fault="content")
        except (RenderError, KeyError, ValueError) as error:
            return HandoverResult(
                message.id, "rejected", detail=f"not_a_letter_{type(error).__name__}", fault="content"
            )
        except OSError as error:
            return _result_of(message.id, error)
        return await self._publish(message, first_byte, files, now)

    async def _publish(
        self, message: Message, first_byte: FirstByteGuard, files: Sequence[tuple[Path, Path]], now: Instant
    ) -> HandoverResult:
        """Gives the files the names under which the print shop finds them: that is the first byte it sees."""
        try:
            first_byte.before(message.id)
        except PastDeadline:
            await asyncio.to_thread(_remove, (temporary for temporary, _ in files))
            return past_deadline_result(message.id)
        try:
            for temporary, final in files:  # two renames take some microseconds, and no other task may come between
                os.replace(temporary, final)
        except OSError as error:
            return _result_of(message.id, error)
        finally:
            first_byte.after(message.id)
        try:
            await asyncio.to_thread(_remember, self._folder, message.id, now)
        except OSError as error:  # it is there under its name; a second attempt writes the same bytes
            return _result_of(message.id, error)
        return HandoverResult(message.id, "accepted", provider_id=message.id)


def describe_letter(message: Message, pdf: bytes) -> dict[str, Any]:
    """What the print shop is told of a letter."""
    return {
        "message_id": message.id,
        "pdf": f"{message.id}.pdf",
        "sha256": hashlib.sha256(pdf).hexdigest(),
        "address": message.to.split(", "),
        "format": message.content["format"],
        "campaign": message.campaign,
        "class": message.cls,
        "locale": message.locale,
    }


def _was_taken(folder: Path, message_id: str, now: Instant) -> bool:
    return any((_day_folder(folder, now - back * DAY) / message_id).exists() for back in range(REMEMBERED_DAYS + 1))


def _write_files(folder: Path, message: Message, now: Instant) -> list[tuple[Path, Path]]:
    """Writes both files under temporary names, down to the disk; returns these and the final ones, the PDF first."""
    pdf = draw_document(message.id, message.to, message.content)
    note = msgspec.json.format(msgspec.json.encode(describe_letter(message, pdf)), indent=2)
    written: list[tuple[Path, Path]] = []
    try:
        for content, ending in ((pdf, "pdf"), (note, "json")):
            final = folder / f"{message.id}.{ending}"
            temporary = folder / f".{message.id}.{ending}.{os.getpid()}.part"
            written.append((temporary, final))
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        _remove(temporary for temporary, _ in written)
        raise
    return written


def _remember(folder: Path, message_id: str, now: Instant) -> None:
    """Makes the names last, and notes that the message was there."""
    _sync_folder(folder)
    day = _day_folder(folder, now)
    if not day.is_dir():
        _forget_old_days(folder, now)
        day.mkdir(parents=True, exist_ok=True)
    (day / message_id).touch()
    _sync_folder(day)


def _forget_old_days(folder: Path, now: Instant) -> None:
    oldest = _day_folder(folder, now - REMEMBERED_DAYS * DAY).name
    _remove(each for each in folder.glob(".*.part") if _was_left(each, now))
    with suppress(FileNotFoundError):
        for day in sorted((folder / TAKEN).iterdir()):
            if day.name < oldest:
                shutil.rmtree(day, ignore_errors=True)


def _was_left(part: Path, now: Instant) -> bool:
    """Whether a file was not finished within a day: the process that wrote it has ended."""
    try:
        return part.stat().st_mtime * SECOND < now - DAY
    except OSError:
        return False


def _day_folder(folder: Path, at: Instant) -> Path:
    return folder / TAKEN / format_instant(at)[:10]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _result_of(message_id: str, error: OSError) -> HandoverResult:
    """A folder that is not there or cannot be written refuses every letter; a full disk is waited for."""
    detail = errno.errorcode.get(error.errno or 0, type(error).__name__)
    if error.errno in _NOT_SET_UP:
        return HandoverResult(message_id, "retry", detail=detail, fault="account")
    wait = FULL_DISK_WAIT if error.errno in _FULL else None
    return HandoverResult(message_id, "retry", detail=detail, retry_after=wait, fault="throttle" if wait else None)


def create_adapter(context: AdapterContext) -> PrintFolderAdapter:
    """The adapter for the declared settings. Raises SettingsError without a folder."""
    if context.settings.path is None:
        raise SettingsError("TACTFUL_PRINT_FOLDER__PATH is not set, and this process needs it")
    return PrintFolderAdapter(context.settings.path, context.clock)
