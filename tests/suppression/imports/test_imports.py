"""Imports as jobs: each row has a result, nothing is lost or done twice, and `done` means in force."""

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from schemas.addresses import hash_address
from schemas.service_api import CustomerAddressHashes
from schemas.times import DAY, MINUTE
from services.bulk_import import import_runner, import_store, upload
from services.bulk_import.import_runner import ImportRunner
from services.kit.errors import DatabaseGone
from services.suppression.app import create_entry_import
from services.suppression.imports.entry_columns import ENTRY_LAYOUT
from services.suppression.imports.entry_import import ENTRY_IMPORTS
from tests.support.suppression_service import ADDRESS_KEY, Running, running

pytestmark = pytest.mark.wired

CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/x-ndjson"}
ROWS = (
    b"address,customer,channel,reason,note,at\r\n"
    b"ada@example.org,,email,legal,called us,\r\n"
    b",c-1,,manual,,\r\n"
    b" ADA@example.org ,,email,legal,,\r\n"
    b"not an address,,email,legal,,\r\n"
    b"bob@example.org,,email,because,,\r\n"
    b"+44 7700 900101,,sms,imported,,2026-01-01T00:00:00Z\r\n"
)


async def start(service: Running, body: bytes, headers: dict[str, str] = CSV, **query: Any) -> dict[str, Any]:
    answer = await service.http.post("/v1/suppressions/imports", content=body, headers=headers, params=query)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/suppressions/imports/{answer.json()['id']}"
    return dict(answer.json())


async def ended(service: Running, id: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (job := (await service.http.get(f"/v1/suppressions/imports/{id}")).json())["finished"] is None:
            await asyncio.sleep(0.02)
    return dict(job)


async def results(service: Running, id: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page: dict[str, str] = {"after": after} if after else {}
        answer = await service.http.get(f"/v1/suppressions/imports/{id}/results", params={**query, **page, "limit": 2})
        found += answer.json()["items"]
        after = answer.json()["next"]
        if after is None:
            return found


async def entries(service: Running, channel: str, address: str) -> Sequence[str]:
    asked = CustomerAddressHashes("c-9", ((channel, hash_address(ADDRESS_KEY.encode(), channel, address)),))
    return [each.reason for each in (await service.client.get_facts([asked], {})).customers[0].entries]


def lines(count: int, name: str = "row") -> bytes:
    rows = [
        {"address": f"{name}-{number}@example.org", "scope": {"channel": "email"}, "reason": "imported"}
        for number in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def test_each_row_has_a_result_and_what_is_done_is_in_force(service: Running) -> None:
    job = await start(service, ROWS)
    assert (job["rows"], job["bytes"], job["dry_run"], job["requested_by"]) == (6, len(ROWS), False, "admin")
    job = await ended(service, job["id"])
    counts = {name: job[name] for name in ("state", "rows", "read", "added", "exists", "refused", "problem")}
    assert counts == {
        "state": "done", "rows": 6, "read": 6, "added": 3, "exists": 1, "refused": 2, "problem": None
    }  # fmt: skip
    found = await results(service, job["id"])
    assert [(row["row"], row["result"], row["code"]) for row in found] == [
        (2, "added", None),
        (3, "added", None),
        (4, "exists", None),
        (5, "refused", "not_an_email"),
        (6, "refused", found[4]["code"]),
        (7, "added", None),
    ]
    assert [row["row"] for row in await results(service, job["id"], result="refused")] == [5, 6]
    assert found[4]["pointer"] == "/reason"
    assert all(row["detail"] for row in found if row["result"] == "refused")
    assert await entries(service, "email", "ada@example.org") == ["legal"]
    assert await entries(service, "sms", "+447700900101") == ["imported"]
    entry = (await service.http.get(f"/v1/suppressions/{found[0]['id']}")).json()
    assert (entry["note"], entry["source"], entry["added_by"]) == ("called us", f"import {job['id']}", "admin")
    assert service.handovers.asked  # messages that were under way are through
    assert service.metric("suppression_imported_rows_total", result="refused") == 2


async def test_the_results_are_a_file_too(service: Running) -> None:
    job = await ended(service, (await start(service, ROWS))["id"])
    path = f"/v1/suppressions/imports/{job['id']}/results/file"
    rows = list(csv.DictReader(io.StringIO((await service.http.get(path)).text)))
    assert [row["row"] for row in rows] == ["2", "3", "4", "5", "6", "7"]
    refused = await service.http.get(path, params={"format": "jsonl", "result": "refused"})
    assert [json.loads(line)["row"] for line in refused.text.splitlines()] == [5, 6]


async def test_a_dry_run_changes_nothing_and_has_the_same_results(service: Running) -> None:
    before = await start(service, b"address,channel,reason\nold@example.org,email,legal\n")
    await ended(service, before["id"])
    data = ROWS + b"old@example.org,,email,legal,,\r\n,c-1,,manual,,\r\n"
    dry = await ended(service, (await start(service, data, dry_run=True))["id"])
    assert (dry["state"], dry["added"], dry["exists"], dry["refused"]) == ("done", 3, 3, 2)
    assert await entries(service, "email", "ada@example.org") == []
    assert len((await service.http.get("/v1/suppressions")).json()["items"]) == 1
    real = await ended(service, (await start(service, data))["id"])
    rehearsed = [{**row, "id": None} for row in await results(service, dry["id"])]
    assert rehearsed == [{**row, "id": None} for row in await results(service, real["id"])]
    assert all(row["id"] is None for row in await results(service, dry["id"]))
    async with service.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM suppression_import_rehearsal") == []


async def test_a_dry_run_remembers_what_its_earlier_parts_would_have_added(service: Running) -> None:
    body = lines(600) + lines(600) + b'{"customer": "c-1", "reason": "manual"}\n' * 2
    job = await ended(service, (await start(service, body, LINES, dry_run=True))["id"])
    assert (job["added"], job["exists"]) == (601, 601)


async def test_no_plain_address_is_kept_while_an_import_waits_or_after_it(database_url: str, tmp_path: Any) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        job = await start(service, ROWS)
        for round in range(2):
            async with service.database.read() as tx:
                for table in ("", "_part", "_result", "_rehearsal"):
                    rows = [tuple(row) for row in await tx.rows(f"SELECT * FROM suppression_import{table}")]
                    assert round or table not in ("", "_part") or rows
                    assert not [word for word in ("bob@", "900101", "because") if word in repr(rows).lower()]
            runner = create_entry_import(service.service.components, service.service.enforcer).runner
            await runner.run_next(asyncio.Event())
        assert (await ended(service, job["id"]))["state"] == "done"


async def test_a_row_that_is_not_in_force_lets_the_import_fail(database_url: str, tmp_path: Any) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        job = await start(service, lines(3), LINES)
        runner = create_entry_import(service.service.components, service.service.enforcer).runner
        await apply_only(service, runner)
        async with service.database.write() as tx:
            await tx.execute("DELETE FROM address_entry")
        await runner.run_next(asyncio.Event())
        job = await ended(service, job["id"])
        assert job["state"] == "failed"
        assert "not in force" in job["problem"]
        assert "row 1" in job["problem"]


async def apply_only(service: Running, runner: ImportRunner[Any], parts: int = 2**31) -> None:
    """Apply parts of the oldest import, and die before the next step."""
    async with service.database.write() as tx:
        job = await ENTRY_IMPORTS.claim_next(tx, "dead", 0, 0)
    assert job is not None
    runner._owner = "dead"
    for _ in range(parts):
        async with service.database.read() as tx:
            part = await ENTRY_IMPORTS.get_next_part(tx, job.id)
        if part is None:
            break
        assert await runner._apply_part(job, part, service.service.components.seal.open(job.id, *part))
    async with service.database.write() as tx:
        await tx.execute("UPDATE suppression_import SET seen = 0")


async def test_another_process_goes_on_where_one_has_died(database_url: str, tmp_path: Any) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        job = await start(service, lines(1200), LINES)
        dead = create_entry_import(service.service.components, service.service.enforcer).runner
        await apply_only(service, dead, 1)
        half = (await service.http.get(f"/v1/suppressions/imports/{job['id']}")).json()
        assert (half["state"], half["read"]) == ("running", 500)
        runner = create_entry_import(service.service.components, service.service.enforcer).runner
        assert await runner.run_next(asyncio.Event())
        job = await ended(service, job["id"])
        assert (job["state"], job["added"], job["exists"]) == ("done", 1200, 0)
        async with service.database.read() as tx:
            rows = await ENTRY_IMPORTS.list_results(tx, job["id"], 0, 5000, only_refused=False)
        assert [row.row for row in rows] == list(range(1, 1201))


async def test_a_part_is_applied_with_its_results_or_not_at_all(
    database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        job = await start(service, lines(3), LINES)
        runner = create_entry_import(service.service.components, service.service.enforcer).runner

        async def lose(*_: object) -> None:
            raise DatabaseGone("lost")

        with monkeypatch.context() as broken:
            broken.setattr(ENTRY_IMPORTS, "record_results", lose)
            with pytest.raises(DatabaseGone):
                await runner.run_next(asyncio.Event())
        assert await entries(service, "email", "row-0@example.org") == []
        await runner.run_next(asyncio.Event())
        assert (await ended(service, job["id"]))["added"] == 3


async def test_an_import_gives_way_to_decisions(
    database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_runner, "BUSY_REST_SHARE", 1e6)
    monkeypatch.setattr(import_runner, "LONGEST_REST", 1.0)
    async with running(database_url, tmp_path, start=False) as service:
        facts = service.service.components.facts
        runner = create_entry_import(service.service.components, service.service.enforcer).runner
        await start(service, lines(1000), LINES)

        async def decide() -> None:
            while True:
                await service.client.get_facts([CustomerAddressHashes("c-1", ())], {})
                await asyncio.sleep(0.01)

        deciding = asyncio.create_task(decide())
        while not facts.questions:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        await runner.run_next(asyncio.Event())
        assert time.monotonic() - began >= 2.0
        deciding.cancel()


async def test_done_waits_for_messages_that_were_under_way(service: Running) -> None:
    service.handovers.down = True
    job = await start(service, lines(3), LINES)
    async with asyncio.timeout(20):
        while not (now := (await service.http.get(f"/v1/suppressions/imports/{job['id']}")).json())["waiting"]:
            await asyncio.sleep(0.02)
    assert (now["state"], now["read"], now["finished"]) == ("checking", 3, None)
    service.handovers.down = False
    assert (await ended(service, job["id"]))["state"] == "done"


async def test_an_import_that_is_cancelled_applies_nothing_more(database_url: str, tmp_path: Any) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        job = await start(service, lines(600), LINES)
        runner = create_entry_import(service.service.components, service.service.enforcer).runner
        await apply_only(service, runner, 1)
        path = f"/v1/suppressions/imports/{job['id']}"
        assert (await service.http.post(f"{path}/cancel")).json()["state"] == "cancelled"
        assert not await runner.run_next(asyncio.Event())
        job = (await service.http.get(path)).json()
        assert (job["state"], job["added"]) == ("cancelled", 500)
        assert (await service.http.post(f"{path}/cancel")).status_code == 409
        async with service.database.read() as tx:
            assert await tx.rows("SELECT 1 FROM suppression_import_part") == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", CSV, 422, "empty"),
        (b"address,reason\n", CSV, 422, "empty"),
        (b"\n\n", LINES, 422, "empty"),
        (b"name\nada\n", CSV, 422, "unknown_column"),
        ("address,reason\n".encode("utf-16"), CSV, 422, "wrong_encoding"),
        (b"{}", {"Content-Type": "application/json"}, 415, None),
        (ROWS, CSV | {"Content-Encoding": "gzip"}, 415, None),
        (ROWS, CSV | {"Idempotency-Key": "k"}, 422, None),
    ],
)
async def test_a_file_that_is_none_is_refused_and_not_kept(
    service: Running, body: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    answer = await service.http.post("/v1/suppressions/imports", content=body, headers=headers)
    assert answer.status_code == status
    if code is not None:
        assert [each["code"] for each in answer.json()["errors"]] == [code]
    assert (await service.http.get("/v1/suppressions/imports")).json()["items"] == []


async def test_a_file_has_a_bound(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_IMPORT_ROWS", 600)
    answer = await service.http.post("/v1/suppressions/imports", content=lines(601), headers=LINES)
    assert (answer.status_code, "600 rows" in answer.json()["detail"]) == (413, True)
    monkeypatch.setattr(upload, "MAX_IMPORT_BYTES", 1000)
    answer = await service.http.post("/v1/suppressions/imports", content=lines(100), headers=LINES)
    assert (answer.status_code, "1,000 bytes" in answer.json()["detail"]) == (413, True)
    async with service.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM suppression_import_part") == []
    larger_than_other_bodies = lines(1, "x" * 100) + b" " * (5 * 1024 * 1024)
    monkeypatch.undo()
    assert (await start(service, larger_than_other_bodies, LINES))["rows"] == 1
    too_large = await service.http.post("/v1/suppressions/lookup", content=larger_than_other_bodies)
    assert too_large.status_code == 413


async def test_an_upload_that_breaks_off_leaves_nothing(service: Running) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield lines(9000)
        raise ConnectionResetError

    taking = upload.ImportUpload(
        service.database, ENTRY_IMPORTS, ENTRY_LAYOUT, service.service.components.seal, service.clock
    )
    with pytest.raises(ConnectionResetError):
        await taking.receive(pieces(), "jsonl", False, "admin")
    async with service.database.read() as tx:
        assert await ENTRY_IMPORTS.list_imports(tx, None, 5) == []
        assert await tx.rows("SELECT 1 FROM suppression_import_part") == []


async def test_an_upload_whose_process_has_died_is_dropped(database_url: str, tmp_path: Any) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        long_ago = await service.database.now() - 6 * MINUTE
        for id, seen in (("imp_old", long_ago), ("imp_new", await service.database.now())):
            async with service.database.write() as tx:
                await ENTRY_IMPORTS.begin_upload(tx, id, "csv", False, "admin", service.clock.now(), seen)
                await ENTRY_IMPORTS.insert_parts(tx, id, [import_store.StoredPart(0, b"x")], seen)
        await create_entry_import(service.service.components, service.service.enforcer).runner.tidy_up()
        async with service.database.read() as tx:
            assert [job.id for job in await ENTRY_IMPORTS.list_imports(tx, None, 5)] == ["imp_new"]
            assert len(await tx.rows("SELECT 1 FROM suppression_import_part")) == 1


async def test_imports_are_kept_for_thirty_days(service: Running) -> None:
    job = await ended(service, (await start(service, ROWS))["id"])
    runner = create_entry_import(service.service.components, service.service.enforcer).runner
    for days, kept in ((29, True), (2, False)):
        service.clock.advance(days * DAY)
        await runner.tidy_up()
        assert ((await service.http.get(f"/v1/suppressions/imports/{job['id']}")).status_code == 200) is kept
    async with service.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM suppression_import_result") == []


async def test_only_so_many_imports_wait(database_url: str, tmp_path: Any) -> None:
    async with running(database_url, tmp_path, start=False) as service:
        for _ in range(import_store.MAX_UNFINISHED):
            await start(service, lines(1), LINES)
        answer = await service.http.post("/v1/suppressions/imports", content=lines(1), headers=LINES)
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_imports")


async def test_who_may_import_and_export(service: Running) -> None:
    wanted = {"privacy": (202, 200), "operator": (403, 403), "agent": (403, 403), "auditor": (403, 403)}
    for role, statuses in wanted.items():
        headers = service.handovers.key(role)
        imported = await service.http.post("/v1/suppressions/imports", content=lines(1), headers=headers | LINES)
        exported = await service.http.get("/v1/suppressions/export", headers=headers)
        assert (imported.status_code, exported.status_code) == statuses, role


async def test_an_export_has_every_live_entry_masked_and_safe(service: Running) -> None:
    await service.http.post("/v1/suppressions", json={"customer": "=1+1", "reason": "legal", "note": "@x"})
    service.clock.advance(1)
    body = {"address": "ada@example.org", "reason": "manual", "scope": {"channel": "email", "classes": ["marketing"]}}
    await service.http.post("/v1/suppressions", json=body)
    gone = (await service.http.post("/v1/suppressions", json={"customer": "c-2", "reason": "legal"})).json()["id"]
    await service.remove(gone)
    answer = await service.http.get("/v1/suppressions/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="suppressions.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["customer"], row["note"], row["address_masked"]) for row in rows] == [
        ("'=1+1", "'@x", ""),
        ("", "", "a***@example.org"),
    ]
    assert (rows[1]["channel"], rows[1]["classes"]) == ("email", "marketing")
    lined = await service.http.get("/v1/suppressions/export", params={"format": "jsonl", "reason": "legal"})
    assert [json.loads(line)["customer"] for line in lined.text.splitlines()] == ["=1+1"]
