"""`tactful dev` as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.development.dev_server import run_dev_server

pytestmark = pytest.mark.wired

PROGRAM = """
import asyncio, gc, os, signal, sys
from pathlib import Path
from services.development.dev_server import ADDRESS_FILE, serve

async def main():
    folder = Path(sys.argv[1])
    server = asyncio.create_task(serve(folder, 0, False, None))
    while not (folder / ADDRESS_FILE).exists():
        await asyncio.sleep(0.05)
    print(gc.get_freeze_count() > 100_000)
    os.kill(os.getpid(), signal.SIGTERM)
    await server

asyncio.run(main())
"""


def test_what_is_loaded_at_the_start_is_never_scanned_for_garbage(tmp_path: Path) -> None:
    """A scan of all of it would hold the event loop for 0.16 s."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "True", done.stderr[-2000:]


def test_who_called_it_keeps_their_umask(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = os.umask(0o022)
    try:
        assert run_dev_server(tmp_path / "file", None, False, None) == 1
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
