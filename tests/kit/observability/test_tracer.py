"""Which events are recorded, and by which ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.trace_context import TraceContext, read_trace_context
from services.kit.observability.tracer import FinishedSpan, StepTimes, TracedEvent, Tracer, derive_span

TEXT = st.text(max_size=20)
NAMES = st.builds(TracedEvent, TEXT, TEXT, TEXT)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"


class Sink:
    def __init__(self) -> None:
        self.spans: list[FinishedSpan] = []

    def record(self, span: FinishedSpan) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing waits."""


def tracer(share: float) -> Tracer:
    return Tracer(Sink(), share)


@given(NAMES, NAMES, st.floats(0, 1))
def test_every_process_finds_the_same_trace_and_two_events_have_two(
    event: TracedEvent, other: TracedEvent, share: float
) -> None:
    found = tracer(share).trace_event(event, None)
    assert found == tracer(share).trace_event(event, None)
    of_all, of_other = tracer(1).trace_event(event, None), tracer(1).trace_event(other, None)
    assert of_all is not None and of_other is not None
    assert (of_all == of_other) == (event == other)
    if found is not None:
        assert found == of_all
        assert read_trace_context(found.decision.to_traceparent()) == found.decision


@pytest.mark.parametrize(
    ("share", "lowest", "highest"), [(0, 0, 0), (0.01, 60, 145), (0.5, 4_800, 5_200), (1, 10_000, 10_000)]
)
def test_the_share_is_kept(share: float, lowest: int, highest: int) -> None:
    own = tracer(share)
    found = sum(own.trace_event(TracedEvent("c-1", "/shop", f"e-{n}"), None) is not None for n in range(10_000))
    assert lowest <= found <= highest


@pytest.mark.parametrize(
    ("flags", "is_recorded"), [("01", True), ("00", False), ("02", False), ("03", True), ("ff", True)]
)
def test_the_sender_decides_about_its_own_trace(flags: str, is_recorded: bool) -> None:
    for share in (0, 1):
        found = tracer(share).trace_event(TracedEvent("c-1", "/shop", "e-1"), TRACE + flags)
        assert (found is not None) is is_recorded
        if found is not None:
            assert found.sender == TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
            assert found.decision.trace_id == found.sender.trace_id
            assert found.decision.span_id != found.sender.span_id


def test_names_are_told_apart_by_their_lengths() -> None:
    assert derive_span("0" * 32, "a", "bc") != derive_span("0" * 32, "ab", "c")


def test_a_step_that_is_done_again_counts_from_its_last_beginning() -> None:
    times = StepTimes()
    times.begin_step("commit")
    times.begin_step("commit")
    times.end_step("commit")
    began, ended = times.ended["commit"]
    assert times.began <= began <= ended
    times.end_step("never begun")
    assert set(times.ended) == {"commit"}
