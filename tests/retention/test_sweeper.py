"""What is older than its retention goes in bounded steps, what is needed stays, and being late shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.times import DAY
from services.clients.retention_settings import RetentionSettings
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.preference import retention_rules as preference
from services.retention.kept_kinds import ROWS_AT_ONCE, AgedRows, KeptKind, aged_kind
from services.retention.sweeper import RetentionBehind, RetentionMetrics, RetentionSweeper
from services.suppression import retention_rules as suppression
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired
KEPT = RetentionSettings(history=400, consent_proof=1_095, inbox_keys=30)
BEFORE = NOON - 400 * DAY
MARK = "INSERT INTO preference_inbox (customer, source, event_id, digest, received) VALUES ('c', 's', :id, '', :at)"
MARKS = AgedRows("preference_inbox", "received")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.preference")
    opened = Database.open(database_url, pool=2)
    yield opened
    await opened.close()


def sweeper(database: Database, kinds: tuple[KeptKind, ...], registry: Registry | None = None) -> RetentionSweeper:
    metrics = RetentionMetrics(registry or Registry(), "s", kinds)
    return RetentionSweeper(database, ManualClock(NOON), kinds, metrics)


async def insert(database: Database, table: str, **values: Any) -> None:
    async with database.write() as tx:
        names = ", ".join(f'"{name}"' for name in values)
        await tx.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{n}' for n in values)})", **values)


async def column(database: Database, sql: str) -> list[Any]:
    async with database.read() as tx:
        return [value for (value,) in await tx.tuples(sql)]


async def test_old_marks_go_and_young_ones_stay_in_transactions_of_bounded_size(database: Database) -> None:
    old, young = NOON - 30 * DAY - 1, NOON - 30 * DAY
    async with database.write() as tx:
        await tx.execute_many(MARK.replace("''", "x''") if tx.dialect == "sqlite" else MARK, [
            {"id": str(number), "at": old} for number in range(ROWS_AT_ONCE + 1)
        ] + [{"id": "young", "at": young}])  # fmt: skip
        step = MARKS.expires()
        assert (await step(tx, young, 0))[1] == {"preference_inbox": ROWS_AT_ONCE}
    registry = Registry()
    await sweeper(database, (aged_kind("marks", 30, MARKS),), registry).delete_expired()
    assert await column(database, "SELECT event_id FROM preference_inbox") == ["young"]
    labels = {"service": "s", "kind": "marks"}
    assert registry.get_sample_value("tactful_expired_rows_total", labels) == 1
    assert registry.get_sample_value("tactful_retention_oldest_seconds", labels) == 30 * 24 * 3600
    assert registry.get_sample_value("tactful_retention_last_run_timestamp_seconds", labels) == NOON / 1_000_000


async def change(database: Database, field: str, recorded: int, customer: str = "c-1") -> None:
    await insert(
        database, "preference_change", customer=customer, version=1, at=recorded, recorded=recorded, source="api",
        field=field, value=b"1",
    )  # fmt: skip


async def test_what_was_in_force_within_the_retention_stays_however_old_it_is(database: Database) -> None:
    for customer, field, *times in (
        ("replaced", "traits", BEFORE - 3, BEFORE - 2),
        ("replaced-lately", "traits", BEFORE - 3, BEFORE),
        ("in-force", "locale", BEFORE - 3),
        ("consent", "consent", BEFORE - 3, BEFORE - 2),
        ("old-consent", "consent", NOON - 1_096 * DAY, NOON - 1_095 * DAY - 1),
    ):
        for recorded in times:
            await change(database, field, recorded, customer)
    await sweeper(database, preference.list_kept_kinds(KEPT)).delete_expired()
    left = await column(database, "SELECT customer FROM preference_change ORDER BY seq")
    assert left == ["replaced", "replaced-lately", "replaced-lately", "in-force", "consent", "consent", "old-consent"]


async def test_a_walk_passes_over_what_must_stay(database: Database) -> None:
    async with database.write() as tx:
        for number in range(ROWS_AT_ONCE + 5):
            await tx.execute(
                "INSERT INTO preference_change (customer, version, at, recorded, source, field, value) "
                "VALUES (:c, 1, 1, 1, 'api', 'traits', :v)", c=f"c-{number}", v=b"1",
            )  # fmt: skip
    await change(database, "traits", 2, "c-0")
    await sweeper(database, preference.list_kept_kinds(KEPT)).delete_expired()
    assert await column(database, "SELECT count(*) FROM preference_change WHERE customer = 'c-0'") == [1]
    assert await column(database, "SELECT count(*) FROM preference_change") == [ROWS_AT_ONCE + 5]


async def test_a_kind_that_fails_shows_and_keeps_no_other_waiting(database: Database) -> None:
    async def fails(*_: Any) -> Any:
        raise RuntimeError("broken")

    for number, age in enumerate((40, 31)):
        await insert(
            database, "preference_inbox",
            customer="c", source="s", event_id=str(number), digest=b"", received=NOON - age * DAY,
        )  # fmt: skip
    broken = aged_kind("broken", 30, MARKS)._replace(steps=(fails,))
    registry = Registry()
    job = sweeper(database, (broken, aged_kind("forever", None, MARKS)), registry)
    await job.check_lateness()
    await job.delete_expired()
    with pytest.raises(RetentionBehind, match=r"broken \(10 days\)"):
        await job.check_lateness()
    overdue = registry.get_sample_value("tactful_retention_overdue_seconds", {"service": "s", "kind": "broken"})
    assert overdue == 10 * 24 * 3600
    job.keep_for("broken", 60)
    await job.delete_expired()
    await job.check_lateness()


async def test_suppressions_in_force_and_open_situations_stay(database_url: str) -> None:
    await upgrade_schema(database_url, "services.suppression")
    database = Database.open(database_url, pool=2)
    old = BEFORE - 1
    for customer, *actions in (
        ("over", ("opened", old - 1), ("closed", old)),
        ("open", ("opened", old)),
        ("over-lately", ("opened", old), ("closed", BEFORE)),
    ):
        for action, recorded in actions:
            await insert(
                database, "situation_event", customer=customer, kind="k", ref="r", action=action, at=recorded,
                source="s", event_id="e", recorded=recorded,
            )  # fmt: skip
    entry = {"reason": "manual", "at": 1, "added_by": "ann", "added_at": 1}
    entries_by_id: dict[str, dict[str, Any]] = {
        "in-force": {},
        "removed": {"removed_at": old},
        "expired": {"expires": old},
        "expired-lately": {"expires": BEFORE},
        "erased": {"expires": old, "reason": "erased"},
    }
    for id, more in entries_by_id.items():  # fmt: skip
        await insert(database, "suppression_entry", **{**entry, "id": id, **more})
    await sweeper(database, suppression.list_kept_kinds(KEPT)).delete_expired()
    left = await column(database, "SELECT customer FROM situation_event ORDER BY seq")
    assert left == ["open", "over-lately", "over-lately"]
    entries = await column(database, "SELECT id FROM suppression_entry ORDER BY id")
    assert entries == ["erased", "expired-lately", "in-force"]
    await database.close()
