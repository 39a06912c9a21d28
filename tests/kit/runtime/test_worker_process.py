"""Work in processes of their own: results, and what becomes of work that is late, too large or fatal."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from services.kit.runtime.worker_process import WorkerPool, WorkRefused
from tests.kit.runtime import work_samples

pytestmark = pytest.mark.wired
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerPool]:
    pool = WorkerPool(size=2, seconds=1.0, memory=100 * MIB)
    yield pool
    pool.close()


def test_results_and_errors_come_back(workers: WorkerPool) -> None:
    assert workers.call(work_samples.double, 21) == 42
    assert workers.call(work_samples.shout, text="printed") == "PRINTED"
    assert len(workers.call(work_samples.large, 5 * MIB)) == 5 * MIB
    with pytest.raises(ValueError, match="as it was"):
        workers.call(work_samples.fail, "as it was")


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda pool: pool.call(work_samples.spin), "longer than 1 s"),
        (lambda pool: pool.call(work_samples.sleep, 60), "longer than 1 s"),
        (lambda pool: pool.call(work_samples.take_memory, 500 * MIB), "more than 100 MiB of memory"),
        (lambda pool: pool.call(work_samples.crash), r"ended the process that did it \(exit code -11\)"),
    ],
    ids=["spins", "sleeps", "takes memory", "crashes"],
)
def test_what_is_late_too_large_or_fatal_is_refused_and_the_next_work_is_done(
    workers: WorkerPool, work: object, words: str
) -> None:
    with pytest.raises(WorkRefused, match=words):
        work(workers)  # type: ignore[operator]
    assert workers.call(work_samples.double, 4) == 8


def test_several_threads_share_the_workers(workers: WorkerPool) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda number: workers.call(work_samples.double, number), range(40))) == [
            2 * number for number in range(40)
        ]


def test_other_threads_go_on_meanwhile(workers: WorkerPool) -> None:
    """A busy worker does not hold up this process: not even by the interpreter's lock."""

    def spin() -> None:
        with suppress(WorkRefused):
            workers.call(work_samples.spin)

    began = time.monotonic()
    caller = threading.Thread(target=spin)
    caller.start()
    longest = 0.0
    while caller.is_alive():
        before = time.monotonic()
        time.sleep(0.005)
        longest = max(longest, time.monotonic() - before)
    assert time.monotonic() - began >= 1.0
    assert longest < 0.5


def test_a_worker_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_ADMIN_KEY", "canary-canary-canary")
    pool = WorkerPool(size=1)
    try:
        assert pool.call(os.getenv, "TACTFUL_ADMIN_KEY") is None
    finally:
        pool.close()


def test_a_worker_whose_parent_was_killed_ends_by_itself() -> None:
    program = (
        "import threading, time\n"
        "from services.kit.runtime.worker_process import WorkerPool\n"
        "from tests.kit.runtime import work_samples\n"
        "pool = WorkerPool(size=1, seconds=0.5)\n"
        "pool.call(work_samples.double, 1)\n"
        "print(pool._idle[0]._process.pid, flush=True)\n"
        "pool.call(work_samples.spin)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
