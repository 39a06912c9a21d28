"""Dead letters of the version before can be found by their event after the upgrade, in all three services."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import Connection, inspect, text

from services.kit.db.database import Database
from services.kit.db.migrate import is_up_to_date, upgrade_schema
from services.kit.db.tables import add_dead_letter_life

pytestmark = pytest.mark.wired

PREVIOUS_REVISIONS = {"orchestrator": "0010", "preference": "0002", "suppression": "0003"}
NEW_COLUMNS = (
    *("event_source", "event_id", "event_type", "customer", "problems", "closed_at", "closed_by", "close_reason"),
    *("effect", "job", "redrives", "redriven_at"),
)
NEW_INDEXES = ("dead_letter_open", "dead_letter_at", "dead_letter_closed_at")
STRUCTURED = b'{"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "shop.x", "subject": "ada", "time": 5}'
BINARY_HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"e-2"), ("ce_type", b"shop.y"), ("ce_source", b"\xff"))
OLD_LETTERS = [
    (b"ada", STRUCTURED, (), ("/shop", "e-1", "shop.x", "ada")),
    (b"bob", b"not even JSON", BINARY_HEADERS, (None, "e-2", "shop.y", "bob")),
    (b"\xff", b"{", (), (None, None, None, None)),
    (None, None, (), (None, None, None, None)),
]


def downgrade(connection: Connection, revision: str) -> None:
    """Give the table the form that it had in the version before, with letters of that version."""
    for table in ("redrive_item", "redrive_job"):
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    for index in NEW_INDEXES:
        connection.execute(text(f"DROP INDEX {index}"))
    for column in NEW_COLUMNS:
        connection.execute(text(f"ALTER TABLE dead_letter DROP COLUMN {column}"))
    connection.execute(text("UPDATE schema_version SET version_num = :revision"), {"revision": revision})
    for offset, (key, value, headers, _) in enumerate(OLD_LETTERS * 60):  # more than one page of the migration
        connection.execute(
            text(
                'INSERT INTO dead_letter (topic, partition, "offset", timestamp, key, value, headers, stage, '
                "error_class, error_message, attempts, at, published, state) VALUES ('customer.events', 0, :offset, 1, "
                ":key, :value, :headers, 'decide', 'InvalidEvent', 'bad', 1, 7, NULL, 'open')"
            ),
            {"offset": offset, "key": key, "value": value, "headers": msgspec.msgpack.encode(headers)},
        )


@pytest.mark.parametrize("service", PREVIOUS_REVISIONS)
async def test_letters_of_the_version_before_are_carried_over(database_url: str, service: str) -> None:
    package, revision = f"services.{service}", PREVIOUS_REVISIONS[service]
    await upgrade_schema(database_url, package)
    database = Database.open(database_url, pool=1)
    columns = await database.run_sync(lambda c: {each["name"] for each in inspect(c).get_columns("dead_letter")})
    await database.run_sync(lambda connection: downgrade(connection, revision))
    await database.close()
    assert not await is_up_to_date(database_url, package)
    await upgrade_schema(database_url, package)
    assert await is_up_to_date(database_url, package)
    database = Database.open(database_url, pool=1)
    after = await database.run_sync(lambda c: {each["name"] for each in inspect(c).get_columns("dead_letter")})
    indexes = await database.run_sync(lambda c: {each["name"] for each in inspect(c).get_indexes("dead_letter")})
    async with database.read() as tx:
        rows = await tx.rows("SELECT * FROM dead_letter ORDER BY id")
    await database.close()
    assert after == columns
    assert {*NEW_INDEXES, "dead_letter_unpublished"} <= indexes
    found = [(row.event_source, row.event_id, row.event_type, row.customer) for row in rows]
    assert found == [letter[3] for letter in OLD_LETTERS * 60]
    assert {(row.state, row.problems, row.redrives, row.closed_at, row.error_message) for row in rows} == {
        ("open", "[]", 0, None, "bad")
    }


async def test_a_database_that_has_it_all_is_left_as_it_is(database_url: str) -> None:
    await upgrade_schema(database_url, "services.preference")
    database = Database.open(database_url, pool=1)

    def repeat(connection: Connection) -> None:
        from alembic.operations import Operations
        from alembic.runtime.migration import MigrationContext

        add_dead_letter_life(Operations(MigrationContext.configure(connection)))

    await database.run_sync(repeat)
    await database.close()
