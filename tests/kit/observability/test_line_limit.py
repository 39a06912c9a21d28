"""Lines that repeat are written once a minute, with the number of those left out."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from services.kit.errors import BusGone
from services.kit.observability import logs
from services.kit.observability.line_limit import MAX_LINES, WINDOW, LineLimit

NOISE = "Unable connect to node with id %s: %s"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[io.StringIO, list[float]]]:
    """What is logged, and the time of the limit, which stands still."""
    now = [0.0]
    monkeypatch.setattr(logs, "LineLimit", lambda own, in_request: LineLimit(own, in_request, lambda: now[0]))
    root, stream = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), root.level
    logs.configure_logging("tests", stream=stream)
    yield stream, now
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_library_that_repeats_itself_is_heard_once_a_minute(lines: tuple[io.StringIO, list[float]]) -> None:
    stream, now = lines
    library = logging.getLogger("noisy.library")
    for node in range(500):
        library.error(NOISE, node, "refused")
        library.error(f"no connection to 127.0.0.1:{9000 + node}")
    assert len(written(stream)) == 2
    now[0] = WINDOW
    library.error(NOISE, 1, "refused")
    assert written(stream)[2]["left_out"] == 499


def test_different_lines_of_a_library_are_all_written(lines: tuple[io.StringIO, list[float]]) -> None:
    library = logging.getLogger("noisy.library")
    library.error("one")
    library.warning("one")
    library.error("two")
    for kind in (ValueError, KeyError):
        try:
            raise kind
        except kind:
            library.exception("unexpected")
    assert len(written(lines[0])) == 5


def test_our_own_waits_are_limited_and_what_happened_is_not(lines: tuple[io.StringIO, list[float]]) -> None:
    stream, now = lines
    for number in range(50):
        logs.log("consume_waits", "warning", reason="bus_gone", seconds=number / 7)
        logs.log_error("look_failed", BusGone("no answer"), "warning")
        logs.log("dead_letter", "error", topic="t", partition=0, offset=7)
        logs.log("audit_skipped", "warning", message_id=f"m{number}")
        logs.log("hold_placed", hold_key="h")
    actions = [line["action"] for line in written(stream)]
    assert {action: actions.count(action) for action in set(actions)} == {
        "consume_waits": 1,
        "look_failed": 1,
        "dead_letter": 50,
        "audit_skipped": 50,
        "hold_placed": 50,
    }
    logs.log("consume_waits", "warning", reason="database_gone", seconds=0.1)
    now[0] = WINDOW
    logs.log("consume_waits", "warning", reason="bus_gone", seconds=0.1)
    assert [line.get("left_out") for line in written(stream)[-2:]] == [None, 49]


def test_every_line_about_a_request_is_written(lines: tuple[io.StringIO, list[float]]) -> None:
    for number in range(3):
        token = logs.trace_id.set(f"{number:032x}")
        logs.log("request_error", "warning", route="/v1/events", status=503)
        logs.trace_id.reset(token)
    assert len(written(lines[0])) == 3


def test_what_is_remembered_is_bounded() -> None:
    limit = LineLimit("tactful", lambda: False, lambda: 0.0)
    for number in range(2 * MAX_LINES):
        record = logging.LogRecord("library", logging.ERROR, "", 0, chr(0x4E00 + number), None, None)
        assert limit.filter(record)
    assert len(limit._seen) <= MAX_LINES
