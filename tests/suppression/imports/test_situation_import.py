"""What an import of situations does to each row, in a table: which rows are added, known, and refused, and why."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.import_jobs import json_lines, run_import
from tests.support.suppression_service import COMPLAINT, Running, event

pytestmark = pytest.mark.wired

PATH: Final = "/v1/imports/situations"
CASE: Final = {"customer": "c-1", "kind": "complaint", "ref": "a"}
OPEN: Final = {**CASE, "opened": "2026-02-28T10:00:00Z"}
DONE: Final = {**CASE, "opened": "2026-02-01T10:00:00Z", "closed": "2026-02-03T10:00:00Z"}
LAPSED: Final = {**CASE, "opened": "2026-01-01T10:00:00Z"}
ADDED, EXISTS = ("added", None, None), ("exists", None, None)
# Rows of one file, and what becomes of each: complaints lapse after ten days, and now is 2 March 2026, 10:00.
ROWS: Final[dict[str, list[tuple[dict[str, Any], tuple[str, str | None, str | None]]]]] = {
    "an earlier case, then an open one": [(DONE, ADDED), (OPEN, ADDED)],
    "an earlier case after an open one": [(OPEN, ADDED), (DONE, ("refused", "later_case", "/opened"))],
    "another ref is another case": [(OPEN, ADDED), ({**DONE, "ref": "b"}, ADDED)],
    "open already, since another time": [(OPEN, ADDED), ({**OPEN, "opened": "2026-03-01T10:00:00Z"}, EXISTS)],
    "a case that has lapsed is over": [(LAPSED, ADDED), (OPEN, ADDED)],
    "a case that begins before the last one ends": [
        (DONE, ADDED),
        ({**OPEN, "opened": "2026-02-02T10:00:00Z"}, ("refused", "later_case", "/opened")),
    ],
    "no import closes what is open here": [
        (OPEN, ADDED),
        ({**OPEN, "closed": "2026-03-01T10:00:00Z"}, ("refused", "known_otherwise", "/closed")),
    ],
    "a case that is known with another end": [
        (DONE, ADDED),
        ({**DONE, "closed": "2026-02-04T10:00:00Z"}, ("refused", "known_otherwise", "/closed")),
    ],
    "a case that was closed is known": [(DONE, ADDED), ({**DONE, "closed": None}, EXISTS)],
    "an end before the beginning": [
        ({**DONE, "closed": "2026-01-31T10:00:00Z"}, ("refused", "out_of_order", "/closed"))
    ],
    "times ahead": [
        ({**OPEN, "opened": "2026-03-02T10:00:01Z"}, ("refused", "bad_time", "/opened")),
        ({**OPEN, "closed": "2026-03-02T10:00:01Z"}, ("refused", "bad_time", "/closed")),
    ],
    "no beginning": [(CASE, ("refused", "missing", "/opened"))],
    "no kind": [({"customer": "c-1", "opened": OPEN["opened"]}, ("refused", "bad_kind", "/kind"))],
    "a reason that is none": [({**OPEN, "reason": "x" * 501}, ("refused", "bad_text", "/reason"))],
    "a field that no row has": [({**OPEN, "lapse": "9d"}, ("refused", "unknown_field", ""))],
}


@pytest.mark.parametrize("name", ROWS)
async def test_rows(service: Running, name: str) -> None:
    await service.situations(COMPLAINT)
    rows = ROWS[name]
    done = await run_import(service.http, PATH, json_lines(*(row for row, _ in rows)))
    assert [each[1:] for each in done.results] == [expected for _, expected in rows]
    added = [row for row, expected in rows if expected == ADDED]
    known = (await service.http.get("/v1/situations/c-1")).json()["situations"]
    assert [(each["opened"], each["closed"]) for each in reversed(known)] == [
        (row["opened"], row.get("closed")) for row in added
    ]
    assert bool(service.handovers.asked) == bool(added)  # messages that were under way are through


async def test_what_a_person_has_withdrawn_stays_so(service: Running) -> None:
    await service.situations(COMPLAINT)
    await run_import(service.http, PATH, json_lines(OPEN))
    withdraw = {"action": "withdraw", "kind": "complaint", "ref": "a", "reason": "wrong customer"}
    assert (await service.http.post("/v1/situations/c-1", json=withdraw)).status_code == 200
    done = await run_import(service.http, PATH, json_lines(OPEN))
    assert done.results == [(1, "refused", "later_choice", "/opened")]
    assert (await service.http.get("/v1/situations/c-1")).json()["situations"] == []


async def test_a_case_that_an_event_has_closed_is_known(service: Running) -> None:
    await service.situations(COMPLAINT)
    await run_import(service.http, PATH, json_lines(OPEN))
    await service.events(event("shop.complaint.resolved", {"case": "a"}))
    assert (await run_import(service.http, PATH, json_lines(OPEN))).outcomes == ["exists"]
    (known,) = (await service.http.get("/v1/situations/c-1")).json()["situations"]
    assert known["open"] is False
