"""Wherever an import is interrupted, and however often: it ends as one that was not."""

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import DAY, format_instant
from services.bulk_import import part_splitter
from services.preference.imports.preference_import import CONSENT_IMPORTS
from tests.support.preference_service import ADMIN_KEY, NOW, Running, running

pytestmark = [pytest.mark.wired, pytest.mark.timeout(600)]

HEADERS = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {ADMIN_KEY}"}
CUSTOMERS = ("c-1", "c-2", "c-3")


def make_rows(spec: list[tuple[int, int, bool]]) -> bytes:
    """Rows of a few customers, some of them twice and some refused."""
    rows: list[dict[str, Any]] = []
    for customer, days, is_proved in spec:
        at = format_instant(NOW - (1 + days) * DAY)
        row = {"customer": CUSTOMERS[customer], "channel": "email", "topic": "news", "status": "granted", "at": at}
        rows.append({**row, "source": "form", "wording": "w-1", "basis": "consent"} if is_proved else row)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def run_import(body: bytes, interruptions: list[int]) -> tuple[Any, ...]:
    """What an import leaves that is cancelled after so many turns of the event loop, each time by another process."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite+aiosqlite:///{directory}/preference.db"
        async with running(url, Path(directory), reading=False) as service:
            answer = await service.http.post("/v1/imports/consents", content=body, headers=HEADERS)
            assert answer.status_code == 202, answer.text
            (runner,) = [
                each.runner for each in service.service.imports if each.large_body[0] == "/v1/imports/consents"
            ]
            for number, turns in enumerate(interruptions):
                runner._owner = f"process-{number}"
                task = asyncio.create_task(runner.run_next(asyncio.Event()))
                for _ in range(turns):
                    await asyncio.sleep(0.0005)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                async with service.database.write() as tx:
                    await tx.execute("UPDATE consent_import SET seen = 0")
            runner._owner = "last"
            await runner.run_next(asyncio.Event())
            return await read_all(service, answer.json()["id"])


async def read_all(service: Running, id: str) -> tuple[Any, ...]:
    async with service.database.read() as tx:
        job = await CONSENT_IMPORTS.get_import(tx, id)
        results = await CONSENT_IMPORTS.list_results(tx, id, 0, 1000, only_refused=False)
        states = [
            tuple(row) for row in await tx.rows("SELECT customer, version FROM preference_state ORDER BY customer")
        ]
        history = [
            tuple(row)
            for row in await tx.rows("SELECT customer, event_id FROM preference_change ORDER BY customer, event_id")
        ]
    assert job is not None
    known = [(await service.http.get(f"/v1/preferences/{name}")).json() for name in CUSTOMERS]
    customers = [each.get("consent") for each in known]  # a problem has the number of its request
    return job.state, job.added, job.existing, job.refused, results, states, history, customers


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), min_size=1, max_size=14),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_an_import_that_is_interrupted_ends_as_one_that_was_not(
    spec: list[tuple[int, int, bool]], interruptions: list[int]
) -> None:
    body = make_rows(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(part_splitter, "ROWS_A_PART", 2)
        whole = asyncio.run(run_import(body, []))
        assert whole[0] == "done"
        assert asyncio.run(run_import(body, interruptions)) == whole
