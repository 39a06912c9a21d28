"""`python -m services.simulation FOLDER`: one comparison over recorded traffic, as a limited child process.

Progress goes to stdout, one number per line. The process ends when its parent does, because its stdin is then closed.
Exit codes: 0 done, 2 unusable input (reason on stderr), 3 out of memory or disk.
"""

import argparse
import errno
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from services.simulation.input_files import BadInput
from services.simulation.recorded_comparison import compare_recorded_traffic

BAD_INPUT, TOO_LARGE = 2, 3
NICE = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="services.simulation")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory", type=int, required=True, help="bytes")
    parser.add_argument("--seconds", type=int, required=True, help="of processor time")
    parser.add_argument("--disk", type=int, required=True, help="bytes of one file")
    options = parser.parse_args(arguments)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _set_limits(options.memory, options.seconds, options.disk)
    try:
        compare_recorded_traffic(options.folder, _print_progress)
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except (MemoryError, SystemError):  # C libraries may report a failed allocation as SystemError
        return TOO_LARGE
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.ENOMEM, errno.ENOSPC):
            return TOO_LARGE
        raise
    return 0


def _set_limits(memory: int, seconds: int, disk: int) -> None:
    os.nice(NICE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for limit, maximum in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, disk)):
        resource.setrlimit(limit, (maximum, maximum))


def _exit_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


def _print_progress(share: float) -> None:
    sys.stdout.write(f"{share:.3f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
