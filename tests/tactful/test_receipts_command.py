"""`tactful receipts mail`: the program that a mail server passes mails about mails to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.orchestrator.delivery.adapters.smtp.signed_path import sign_return_path
from tests.orchestrator.delivery.adapters.test_smtp_receipts import bounce
from tests.support.command_line import ROOT, RunningProduct, environment, product

pytestmark = pytest.mark.wired

KEY = "a-secret-for-the-return-path"
SETTINGS = {"TACTFUL_SMTP__BOUNCE_SECRET": KEY, "TACTFUL_SMTP__RETURN_PATH": "bounces@shop.example"}
MESSAGE = "msg_" + "0b" * 16


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """`tactful dev` that knows the secret of the return path."""
    with product(tmp_path_factory.mktemp("mails") / "data", **SETTINGS) as found:
        yield found


def pipe(mail: bytes, address: str, directory: Path, adapter: str = "smtp") -> subprocess.CompletedProcess[bytes]:
    """What a mail server does: it starts the program, writes the mail, and looks at the exit code."""
    given = environment(TACTFUL_DATA_DIR=str(directory), TACTFUL_SERVICES__ORCHESTRATOR_URL=address)
    command = [sys.executable, "-m", "tactful", "receipts", "mail", adapter]
    return subprocess.run(command, input=mail, env=given, cwd=ROOT, capture_output=True, timeout=60, check=False)


def to(message_id: str) -> str:
    return sign_return_path(KEY, "bounces@shop.example", message_id)


def test_a_bounce_is_taken_without_a_key(running: RunningProduct, tmp_path: Path) -> None:
    done = pipe(bounce("5.1.1", "", to=to(MESSAGE)), running.address, tmp_path)
    assert (done.returncode, done.stderr) == (0, b"0 new, 0 repeated, 1 about unknown messages\n")


@pytest.mark.parametrize("rest", [b"", b"x\n" * 3_000_000], ids=["short", "long"])
def test_what_is_not_ours_is_passed_over_and_read_to_its_end(
    rest: bytes, running: RunningProduct, tmp_path: Path
) -> None:
    done = pipe(b"To: bounces@shop.example\n\nBuy now\n" + rest, running.address, tmp_path)
    assert done.returncode == 0 and b"passed over" in done.stderr


def test_the_server_keeps_the_mail_while_it_cannot_take_effect(running: RunningProduct, tmp_path: Path) -> None:
    mail = bounce("5.1.1", "", to=to(MESSAGE))
    away = pipe(mail, "http://127.0.0.1:9", tmp_path)
    assert away.returncode == 75 and b"cannot be reached" in away.stderr
    unknown = pipe(mail, running.address, tmp_path, "pigeon")
    assert unknown.returncode == 75 and b"no adapter" in unknown.stderr
    without = pipe(mail, running.address, tmp_path, "webhook")  # its secret is not set
    assert without.returncode == 75
