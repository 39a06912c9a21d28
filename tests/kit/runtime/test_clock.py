"""Clocks count microseconds and never go back."""

from __future__ import annotations

import time

import pytest

from services.kit.runtime.clock import ManualClock, SystemClock


def test_the_system_clock_counts_microseconds_since_1970() -> None:
    before = time.time_ns() // 1000
    assert before <= SystemClock().now() <= time.time_ns() // 1000


def test_a_standing_clock_moves_only_when_told_and_only_forwards() -> None:
    clock = ManualClock(10)
    assert (clock.now(), clock.now()) == (10, 10)
    clock.advance(5)
    clock.set(20)
    assert clock.now() == 20
    with pytest.raises(ValueError, match="never goes back"):
        clock.set(19)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)
