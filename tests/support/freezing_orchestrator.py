"""An orchestrator process that stops itself, as by SIGSTOP, at a chosen point of its first handover.

`python -m tests.support.freezing_orchestrator --role decide|dispatch --port N` with FREEZE_AT=check (before the
deadline is checked) or FREEZE_AT=byte (after the check, before the first byte). A file
FREEZE_FILE appears at that moment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from services.orchestrator.__main__ import main
from services.orchestrator.delivery.deadline import HandoverDeadlines

_before = HandoverDeadlines.before


def _stop(point: str) -> None:
    mark = Path(os.environ["FREEZE_FILE"])
    if os.environ["FREEZE_AT"] == point and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSTOP)


def before(self: HandoverDeadlines, message_id: str) -> None:
    """`Handovers.before`, with a place to stop on either side."""
    _stop("check")
    _before(self, message_id)
    _stop("byte")


if __name__ == "__main__":
    HandoverDeadlines.before = before  # type: ignore[method-assign]
    sys.exit(main())
