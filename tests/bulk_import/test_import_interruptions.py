"""Wherever an import of any kind is interrupted, and however often: it ends as one that was not."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.bulk_import import part_splitter
from tests.support.idle_imports import TRIED_KINDS, RowChoice, TriedKind, choose_row, idle_imports

pytestmark = [pytest.mark.wired, pytest.mark.timeout(600)]

CHOICES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=14)


def file_of(kind: TriedKind, choices: list[RowChoice]) -> bytes:
    return b"".join(json.dumps(choose_row(kind, each)).encode() + b"\n" for each in choices)


async def run_interrupted(kind: TriedKind, body: bytes, interruptions: list[int]) -> tuple[Any, ...]:
    """What an import leaves that is cancelled after so many turns of the event loop, each time by another process."""
    async with idle_imports() as services:
        path, runner = await services.take(kind, body), services.runner(kind)
        for number, turns in enumerate(interruptions):
            runner._owner = f"process-{number}"
            task = asyncio.create_task(runner.run_next(asyncio.Event()))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            async with services.database(kind).write() as tx:
                await tx.execute(f"UPDATE {kind.table} SET seen = 0")
        runner._owner = "last"
        await runner.run_next(asyncio.Event())
        return await services.read_outcome(path), await services.read_stored(kind)


@pytest.mark.parametrize("name", TRIED_KINDS)
@settings(max_examples=4, deadline=None)
@given(CHOICES, st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_an_import_that_is_interrupted_ends_as_one_that_was_not(
    name: str, choices: list[RowChoice], interruptions: list[int]
) -> None:
    kind = TRIED_KINDS[name]
    body = file_of(kind, choices)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(part_splitter, "ROWS_A_PART", 2)
        whole = asyncio.run(run_interrupted(kind, body, []))
        assert whole[0][0] == "done"
        assert asyncio.run(run_interrupted(kind, body, interruptions)) == whole


@pytest.mark.parametrize("name", TRIED_KINDS)
@settings(max_examples=4, deadline=None)
@given(CHOICES)
def test_a_dry_run_says_what_the_import_says_and_the_same_file_again_adds_nothing(
    name: str, choices: list[RowChoice]
) -> None:
    kind = TRIED_KINDS[name]
    asyncio.run(_try_three_times(kind, file_of(kind, choices)))


async def _try_three_times(kind: TriedKind, body: bytes) -> None:
    async with idle_imports() as services:
        empty = await services.read_stored(kind)
        rehearsed = await services.import_file(kind, body, dry_run=True)
        assert await services.read_stored(kind) == empty
        assert await services.import_file(kind, body) == rehearsed
        stored = await services.read_stored(kind)
        again = await services.import_file(kind, body)
        assert (again[0], again[1]) == ("done", 0)
        assert await services.read_stored(kind) == stored
