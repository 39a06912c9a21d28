"""Long work on the event loop is done in pieces, of which only one begins in each round of the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import suppress

import pytest

from services.kit.runtime.loop_share import MAX_PIECE, LoopShare


def busy(seconds: float) -> None:
    """Works without a pause."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def counting(steps: int, seconds: float = 0.0) -> Generator[None, None, int]:
    for _ in range(steps):
        busy(seconds)
        yield
    return steps


async def count_rounds(rounds: list[int]) -> None:
    while True:
        rounds[0] += 1
        await asyncio.sleep(0)


async def test_a_computation_gives_its_result_and_its_errors() -> None:
    assert await LoopShare().run(counting(3)) == 3

    def failing() -> Generator[None, None, None]:
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await LoopShare().run(failing())


async def test_others_get_a_turn_after_each_piece() -> None:
    rounds = [0]
    ticker = asyncio.create_task(count_rounds(rounds))
    await LoopShare().run(counting(5, MAX_PIECE))
    ticker.cancel()
    assert rounds[0] >= 5


async def test_computations_advance_by_turns_and_give_their_results_in_order() -> None:
    begun: list[str] = []

    def naming(name: str, steps: int) -> Generator[None, None, str]:
        for number in range(steps):
            begun.append(f"{name}{number}")
            yield
        return name

    found = await LoopShare().run_together([naming("a", 2), naming("b", 0), naming("c", 3)])
    assert found == ["a", "b", "c"]
    assert begun == ["a0", "c0", "a1", "c1", "c2"]
    assert await LoopShare().run_together(list[Generator[None, None, str]]()) == []


async def test_the_error_of_one_computation_ends_all() -> None:
    def failing() -> Generator[None, None, int]:
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await LoopShare().run_together([counting(3), failing()])


async def test_others_get_a_turn_after_each_piece_of_several_computations() -> None:
    rounds = [0]
    ticker = asyncio.create_task(count_rounds(rounds))
    await LoopShare().run_together([counting(2, MAX_PIECE), counting(3, MAX_PIECE)])
    ticker.cancel()
    assert rounds[0] >= 5


async def test_within_a_piece_nobody_is_asked() -> None:
    share, rounds = LoopShare(), [0]
    await share.give_turn_if_due()
    ticker = asyncio.create_task(count_rounds(rounds))
    await share.give_turn_if_due()
    assert rounds == [0]
    ticker.cancel()


async def test_of_several_kinds_of_work_one_begins_a_piece_in_a_round_in_order_of_arrival() -> None:
    rounds, begun = [0], list[tuple[int, str]]()
    ticker = asyncio.create_task(count_rounds(rounds))

    async def work(name: str) -> None:
        share = LoopShare()
        for _ in range(3):
            await share.give_turn_if_due()
            begun.append((rounds[0], name))
            busy(MAX_PIECE)

    await asyncio.gather(*(work(name) for name in "abc"))
    ticker.cancel()
    assert len({number for number, _ in begun}) == len(begun), "two pieces in one round"
    assert "".join(name for _, name in begun) == "abcabcabc"


async def test_whoever_is_cancelled_while_waiting_holds_up_nobody() -> None:
    waiting = [asyncio.create_task(LoopShare().give_turn_if_due()) for _ in range(3)]
    await asyncio.sleep(0)  # all three wait now
    waiting[0].cancel()
    waiting[1].cancel()
    async with asyncio.timeout(5):
        await waiting[2]
        await LoopShare().give_turn_if_due()
    for task in waiting[:2]:
        with suppress(asyncio.CancelledError):
            await task


async def test_items_are_collected_in_their_order_with_turns_for_others() -> None:
    def making() -> Generator[int, None, None]:
        for number in range(5):
            busy(MAX_PIECE)
            yield number

    rounds = [0]
    ticker = asyncio.create_task(count_rounds(rounds))
    assert await LoopShare().collect(making()) == [0, 1, 2, 3, 4]
    ticker.cancel()
    assert rounds[0] >= 5
