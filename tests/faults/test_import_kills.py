"""The suppression service is killed in the middle of an import: each row is applied once, and has its result."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from tests.support.installation import Installation
from tests.support.service_processes import ADMIN_KEY

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROWS = 12_000
KILLED_AFTER = (500, 4_000, 8_000)
"""Rows that were read when the process is killed; it is started again each time."""


def make_file() -> bytes:
    """Every tenth row is refused, and the last thousand stand there twice."""
    rows = [
        {"address": "none" if n % 10 == 0 else f"import-{n}@example.org", "scope": {"channel": "email"}}
        for n in [*range(1, ROWS - 999), *range(ROWS - 1999, ROWS - 999)]
    ]
    return b"".join(json.dumps({**row, "reason": "imported"}).encode() + b"\n" for row in rows)


async def test_an_import_survives_the_death_of_its_process(installed: Installation) -> None:
    process = installed.cluster["suppression"]
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=60) as http:
        lines = {"Content-Type": "application/x-ndjson"}
        body = make_file()
        answer = await http.post("/v1/suppressions/imports", content=body, headers=lines)
        assert answer.status_code == 202, answer.text
        path = f"/v1/suppressions/imports/{answer.json()['id']}"
        for rows in KILLED_AFTER:
            job = await read_until(http, path, lambda job, least=rows: job["read"] >= least)
            assert job["finished"] is None, "it was over before it could be killed"
            process.kill()
            process.start()
            await asyncio.to_thread(process.wait_ready)
        job = await read_until(http, path, lambda job: job["finished"] is not None)
        refused = sum(line.count(b'"none"') for line in body.splitlines())
        added = len({line for line in body.splitlines() if b'"none"' not in line})
        counts = {name: job[name] for name in ("state", "rows", "read", "refused", "added", "exists")}
        assert counts == {
            "state": "done",
            "rows": ROWS,
            "read": ROWS,
            "refused": refused,
            "added": added,
            "exists": ROWS - refused - added,
        }
        results = (await http.get(f"{path}/results/file", params={"format": "jsonl"})).text.splitlines()
        assert [json.loads(line)["row"] for line in results] == list(range(1, ROWS + 1))
        ids = [json.loads(line).get("id") for line in results]
        assert len({id for id in ids if id is not None}) == added


async def read_until(http: httpx.AsyncClient, path: str, is_so: Any) -> dict[str, Any]:
    """The import, once it is so. TimeoutError after two minutes."""
    deadline = time.monotonic() + 120
    while True:
        job: dict[str, Any] = (await http.get(path)).json()
        if is_so(job):
            return job
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.02)
