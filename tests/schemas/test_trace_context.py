"""The trace context of an event: told over HTTP if it is wrong, and no reason to lose an event from the log."""

import json
from typing import Any

import pytest

from schemas.event import Event, InvalidEvent, decode_record, parse_request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/s",
    "type": "shop.x",
    "subject": "c-1",
    "time": "2026-03-01T09:00:00Z",
}
WRONG = [
    *(
        "",
        " ",
        "x",
        TRACE[:-1],
        TRACE + "0",
        TRACE.upper(),
        TRACE + "\n",
        TRACE + "-00",
        TRACE.replace("00-", "ff-", 1),
    ),
    *(
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
        "01" + TRACE[2:] + "-" + "x" * 300,
        5,
        True,
        [TRACE],
    ),
]


def read(traceparent: Any) -> Event | InvalidEvent:
    [found] = parse_request(json.dumps({**EVENT, "traceparent": traceparent}).encode(), False, 2**60)
    return found


@pytest.mark.parametrize("traceparent", WRONG, ids=ascii)
def test_a_wrong_one_is_refused_at_its_pointer_over_http(traceparent: Any) -> None:
    found = read(traceparent)
    assert isinstance(found, InvalidEvent)
    assert [pointer for pointer, _, _ in found.problems] == ["/traceparent"]


@pytest.mark.parametrize("traceparent", [TRACE, "01" + TRACE[2:] + "-more", None])
def test_a_right_one_or_none_is_kept(traceparent: str | None) -> None:
    found = read(traceparent)
    assert isinstance(found, Event)
    assert found.traceparent == traceparent


@pytest.mark.parametrize("traceparent", [*WRONG, "a\x00b", "\ud800"], ids=ascii)
def test_from_the_log_the_event_counts_without_it(traceparent: Any) -> None:
    assert decode_record((), json.dumps({**EVENT, "traceparent": traceparent}).encode()).traceparent is None


@pytest.mark.parametrize("raw", [b"x", b"\xff", b"a\x00b", b""])
def test_in_a_header_too(raw: bytes) -> None:
    headers = [(f"ce_{name}", value.encode()) for name, value in EVENT.items()]
    assert decode_record([*headers, ("ce_traceparent", raw)], b"{}").traceparent is None
    assert decode_record([*headers, ("ce_traceparent", TRACE.encode())], b"{}").traceparent == TRACE
