"""Work on what people have written, in a process of its own: with a deadline, a limit of memory, and no way to end the
process that asked.

A template or a style sheet can be made so that looking at it takes long, or ends the process that looks. Each such
look is a call of a function in a worker. A worker that is late, too large or gone is replaced, and the call is refused:
`WorkRefused` says which of the three it was. Calls block their thread, never the event loop: make them from
`asyncio.to_thread`.

Parent and worker exchange pickled values over pipes. Both run the same code of this project, and the worker gets no
secret: neither settings nor connections.
"""

import os
import pickle
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Final, ParamSpec, TypeVar, cast

from services.kit.errors import Permanent

P = ParamSpec("P")
T = TypeVar("T")

Work = tuple[Callable[..., object], tuple[object, ...], dict[str, object]]
"""A function with its arguments, by position and by name."""
LENGTH: Final = struct.Struct(">I")
"""How many bytes of pickled values follow."""
START_SECONDS: Final = 60.0
"""How long a worker may take to be ready. On a busy machine importing takes seconds."""
_ENVIRONMENT: Final = ("PATH", "PYTHONTZPATH", "TMPDIR", "LANG", "LC_ALL", "TZ", "PYTHONHASHSEED")


class WorkRefused(Permanent):
    """The work takes longer, or more memory, than it may, or it ends the process that does it."""

    default_code = "too_much_work"
    title = "Too much work"


class WorkerPool:
    """Up to `size` workers, each started when it is first needed."""

    def __init__(
        self,
        *,
        size: int = 2,
        seconds: float = 10.0,
        memory: int = 512 * 1024 * 1024,
        first: Callable[[], Work] | None = None,
    ) -> None:
        """`seconds`: of each call. `memory`: bytes that a worker may take beside what it starts with. `first`: says
        what a new worker does first.
        """
        self._seconds, self._memory, self._first = seconds, memory, first
        self._slots = threading.Semaphore(size)
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What the function returns or raises. It is one of a module's, its arguments and result can be pickled.

        Raises WorkRefused. Waits for a free worker before its time begins to count.
        """
        with self._slots:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            worker = worker or _Worker(self._memory, self._seconds)
            try:
                if worker.is_new and self._first is not None:
                    worker.call(self._first())
                answer = worker.call((function, args, named))
            except BaseException:
                worker.kill()
                raise
            with self._lock:
                self._idle.append(worker)
        if isinstance(answer, BaseException):
            raise answer
        return cast(T, answer)

    def close(self) -> None:
        """Ends the workers that are idle; those at work end with their call."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()


class _Worker:
    def __init__(self, memory: int, seconds: float) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._memory, self._seconds = memory, seconds
        self.is_new = True
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "services.kit.runtime.worker_main", str(memory), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the keyboard is for the parent
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def call(self, work: Work) -> object:
        """The value or the exception that the work ends with. Raises WorkRefused."""
        self.is_new = False
        request = pickle.dumps(work)
        try:
            self._write(request)
            self._read(START_SECONDS)  # it has imported what the work needs
            return pickle.loads(self._read(self._seconds))  # noqa: S301 - written by our own code
        except TimeoutError:
            raise WorkRefused(f"this takes longer than {self._seconds:g} s") from None
        except (OSError, EOFError):
            raise WorkRefused(f"this {self._describe_end()}") from None

    def kill(self) -> None:
        """Ends the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _describe_end(self) -> str:
        code = self._process.wait(START_SECONDS)
        if code == MEMORY_EXIT_CODE:
            return f"takes more than {self._memory // 1024 // 1024} MiB of memory"
        return f"ended the process that did it (exit code {code})"

    def _write(self, content: bytes) -> None:
        pipe = cast(IO[bytes], self._process.stdin)
        pipe.write(LENGTH.pack(len(content)) + content)
        pipe.flush()

    def _read(self, seconds: float) -> bytes:
        """The next message. Raises TimeoutError, EOFError."""
        deadline = time.monotonic() + seconds
        (length,) = LENGTH.unpack(self._read_exactly(LENGTH.size, deadline))
        return self._read_exactly(length, deadline)

    def _read_exactly(self, count: int, deadline: float) -> bytes:
        descriptor = cast(IO[bytes], self._process.stdout).fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        pieces = bytearray()
        while len(pieces) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            piece = os.read(descriptor, min(count - len(pieces), 1024 * 1024))
            if not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)


MEMORY_EXIT_CODE: Final = 77
"""Of a worker that has met its limit of memory."""
