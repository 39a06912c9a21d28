"""The process that runs an import is killed in the middle of it: each row is applied once, and has its result."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.installation import Installation
from tests.support.service_processes import ADMIN_KEY

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROWS = 12_000
KILLED_AFTER = (500, 4_000, 8_000)
"""Rows that were read when the process is killed; it is started again each time."""
PAST = "2024-05-01T09:00:00Z"
GRANT = {"channel": "email", "topic": "news", "source": "form", "wording": "w-1", "basis": "consent", "at": PAST}


class Kind(NamedTuple):
    """A kind of import: its path, the process that answers, the one that applies its rows, and a row by its number.

    `tells_ids`: whether results name what was added.
    """

    path: str
    answering: str
    applying: str
    make_row: Callable[[int], dict[str, Any]]
    tells_ids: bool = False


def is_bad(number: int) -> bool:
    """Every tenth row is refused."""
    return number % 10 == 0


KINDS = {
    "suppressions": Kind(
        "/v1/suppressions/imports",
        "suppression",
        "suppression",
        lambda n: {
            "address": "none" if is_bad(n) else f"import-{n}@example.org",
            "scope": {"channel": "email"},
            "reason": "imported",
        },
        tells_ids=True,
    ),
    "situations": Kind(
        "/v1/imports/situations",
        "suppression",
        "suppression",
        lambda n: {"customer": f"killed-{n}", "kind": "complaint", "opened": "none" if is_bad(n) else PAST},
    ),
    "customers": Kind(
        "/v1/imports/customers",
        "preference",
        "preference",
        lambda n: {"customer": f"killed-{n}", "at": "none" if is_bad(n) else PAST, "locale": "de"},
    ),
    "consents": Kind(
        "/v1/imports/consents",
        "preference",
        "preference",
        lambda n: {"customer": f"killed-{n}", "status": "grnted" if is_bad(n) else "granted", **GRANT},
    ),
    "contacts": Kind(
        "/v1/imports/contacts",
        "api",
        "schedule",
        lambda n: {
            "customer": f"killed-{n}",
            "at": "none" if is_bad(n) else PAST,
            "channel": "email",
            "class": "service",
        },
    ),
}


def make_file(kind: Kind) -> bytes:
    """Every tenth row is refused, and the last thousand stand there twice."""
    numbers = [*range(1, ROWS - 999), *range(ROWS - 1999, ROWS - 999)]
    return b"".join(json.dumps(kind.make_row(number)).encode() + b"\n" for number in numbers)


@pytest.mark.parametrize("name", KINDS)
async def test_an_import_survives_the_death_of_its_process(installed: Installation, name: str) -> None:
    kind = KINDS[name]
    process = installed.cluster[kind.applying]
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    body = make_file(kind)
    async with httpx.AsyncClient(base_url=installed.cluster[kind.answering].url, headers=headers, timeout=60) as http:
        answer = await http.post(kind.path, content=body, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 202, answer.text
        path = f"{kind.path}/{answer.json()['id']}"
        for rows in KILLED_AFTER:
            job = await read_until(http, path, lambda job, least=rows: job["read"] >= least)
            assert job["finished"] is None, "it was over before it could be killed"
            process.kill()
            process.start()
            await asyncio.to_thread(process.wait_ready)
        job = await read_until(http, path, lambda job: job["finished"] is not None)
        lines = (await http.get(f"{path}/results/file", params={"format": "jsonl"})).text.splitlines()
    assert_each_row_had_one_turn(kind, body, job, [json.loads(line) for line in lines])


def assert_each_row_had_one_turn(kind: Kind, body: bytes, job: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Every row has one result, and repeated rows were added once."""
    rows = body.splitlines()
    good = [line for line in rows if b'"none"' not in line and b'"grnted"' not in line]
    refused, added = len(rows) - len(good), len(set(good))
    counts = {name: job[name] for name in ("state", "rows", "read", "refused", "added", "exists")}
    assert counts == {
        "state": "done",
        "rows": ROWS,
        "read": ROWS,
        "refused": refused,
        "added": added,
        "exists": ROWS - refused - added,
    }
    assert [row["row"] for row in results] == list(range(1, ROWS + 1))
    assert len({row["id"] for row in results if row.get("id") is not None}) == (added if kind.tells_ids else 0)


async def read_until(http: httpx.AsyncClient, path: str, is_so: Any) -> dict[str, Any]:
    """The import, once it is so. A process that has just started may answer for two minutes that it cannot yet."""
    deadline = time.monotonic() + 120
    while True:
        answer = await http.get(path)
        assert answer.status_code in (200, 503), answer.text
        job: dict[str, Any] = answer.json()
        if answer.status_code == 200 and is_so(job):
            return job
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.02)
