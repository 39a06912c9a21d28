"""Imports as a caller of the API makes them: send a file, wait for the end, read the results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

LINES = {"Content-Type": "application/x-ndjson"}
IMPORT_CSV = {"Content-Type": "text/csv"}


class Imported(NamedTuple):
    """An import that has ended, and the result of each row: its number, what became of it, code and pointer."""

    job: Mapping[str, Any]
    results: list[tuple[int, str, str | None, str | None]]
    details: list[str | None]

    @property
    def outcomes(self) -> list[str]:
        """What became of the rows, in order."""
        return [each[1] for each in self.results]


def json_lines(*rows: Mapping[str, Any]) -> bytes:
    """Rows as a file."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def run_import(
    http: httpx.AsyncClient, path: str, body: bytes, headers: Mapping[str, str] = LINES, **query: Any
) -> Imported:
    """The import of this file, once it is `done`. `path`: where imports of its kind are."""
    answer = await http.post(path, content=body, headers=dict(headers), params=query)
    assert answer.status_code == 202, answer.text
    place = answer.headers["location"]
    async with asyncio.timeout(100):
        while (job := (await http.get(place)).json())["finished"] is None:
            await asyncio.sleep(0.02)
    assert job["state"] == "done", job
    rows = (await http.get(f"{place}/results", params={"limit": 200})).json()["items"]
    results = [(row["row"], row["result"], row["code"], row["pointer"]) for row in rows]
    return Imported(job, results, [row["detail"] for row in rows])
